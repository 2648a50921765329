import { expect, it } from 'vitest';
import { compilePolicy } from './compile.ts';
import { decide } from './decide.ts';
import { defaultPolicyDocument } from './default-document.ts';
import { policyEngineHealthy, policyToJson } from './engine.ts';
import { PolicyError } from './errors.ts';
import { release } from './example-requests.ts';

it('once the engine broke down everything is refused, answers given before included, and a probe can see it', () => {
  const policy = compilePolicy(defaultPolicyDocument);
  expect(decide(policy, release()).outcome).toBe('allow');
  expect(policyEngineHealthy()).toBe(true);

  // What `checkNesting` keeps away from it.
  const deep = `permit (principal, action, resource) when { ${'('.repeat(5000)}true${')'.repeat(5000)} };`;
  expect(() => policyToJson(deep)).toThrow(PolicyError);

  expect(policyEngineHealthy()).toBe(false);
  expect(decide(policy, release())).toMatchObject({ outcome: 'deny', errors: [{}] });
  expect(decide(policy, release({ ip: '10.9.9.9' })).outcome).toBe('deny');
  expect(() => compilePolicy(defaultPolicyDocument)).toThrow('has to be started again');
});
