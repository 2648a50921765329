import { describe, expect, it, vi } from 'vitest';
import type { ActionPolicies } from './compile.ts';
import { compilePolicy } from './compile.ts';
import { decide } from './decide.ts';
import { bob, capsule, release, withCedar } from './example-requests.ts';
import { preparsedName } from './preparsed.ts';

/** Length of the text that Cedar has parsed, by name. */
const held = vi.hoisted(() => new Map<string, number>());
vi.mock('./engine.ts', async (original) => {
  const engine = await original<typeof import('./engine.ts')>();
  return {
    ...engine,
    preparsePolicySet: (...input: Parameters<typeof engine.preparsePolicySet>) => {
      held.set(input[0], Object.values(input[1].staticPolicies ?? {}).join('').length);
      return engine.preparsePolicySet(...input);
    },
  };
});

const padding = (characters: number): string => `"${'x'.repeat(characters)}" == principal.address || `;
/** A document of 60 KB that lets the recipient open in one hour of the day only. */
const large = (hour: number) =>
  compilePolicy(
    withCedar(`@id("a") permit (principal, action == Action::"release", resource)
      when { ${padding(60_000)} context.hour == ${hour} };`),
  );
const at = (hour: number): number => Date.UTC(2026, 2, 2, hour) / 1000;
// Another person each time, so that no earlier answer is found again.
let asked = 0;
const opens = (policy: ReturnType<typeof large>, hour: number): boolean => {
  const somebody = { ...bob, address: `${asked++}@example.com` };
  const request = release({ principal: somebody, capsule: capsule({ recipient: somebody }), now: at(hour) });
  return decide(policy, request).outcome === 'allow';
};

it('documents that do not all fit into the engine at once are each decided by their own policies', () => {
  // 48 documents of 60 KB are more than the 2 MiB kept parsed; in an order that evicts each before it is used again.
  const documents = Array.from({ length: 48 }, (_, i) => ({ hour: i % 24, policy: large(i % 24) }));
  for (let round = 0; round < 2; round += 1) {
    for (const { hour, policy } of documents) {
      expect(opens(policy, hour)).toBe(true);
      expect(opens(policy, (hour + 1) % 24)).toBe(false);
    }
  }
});

it('an answer of one document is never taken for that of another', () => {
  const request = release();
  const allows = () =>
    compilePolicy(withCedar('@id("a") permit (principal, action == Action::"release", resource);'));
  const refuses = () =>
    compilePolicy(withCedar('@id("a") forbid (principal, action == Action::"release", resource);'));
  for (let round = 0; round < 3; round += 1) {
    const [one, other] = [allows(), refuses()];
    expect(decide(one, request).outcome).toBe('allow');
    expect(decide(other, request).outcome).toBe('deny');
    expect(decide(one, request).outcome).toBe('allow');
  }
});

describe('what the engine keeps parsed', () => {
  const text = (): number => [...held.values()].reduce((sum, length) => sum + length, 0);
  const set = (padding: number): ActionPolicies => {
    const policy = { id: 'a', effect: 'forbid' as const, reason: undefined, text: '' };
    policy.text = `forbid (principal, action, resource);//${'x'.repeat(padding)}`;
    const reads = { attributes: new Set<string>(), wholeContext: false, named: new Map() };
    return { byId: new Map([['a', policy]]), reads, size: policy.text.length };
  };

  it('is bounded in names', () => {
    for (let i = 0; i < 6000; i += 1) preparsedName(set(0));
    expect(held.size).toBe(4096);
  });

  it('is bounded in text', () => {
    for (let i = 0; i < 100; i += 1) {
      preparsedName(set(60_000));
      expect(text()).toBeLessThanOrEqual(2 * 1024 * 1024);
    }
    expect(text()).toBeGreaterThan(1.9 * 1024 * 1024);
  });

  it('keeps the set that was used last under its name', () => {
    const used = set(0);
    const name = preparsedName(used);
    for (let i = 0; i < 6000; i += 1) {
      preparsedName(set(0));
      expect(preparsedName(used)).toBe(name);
    }
  });
});
