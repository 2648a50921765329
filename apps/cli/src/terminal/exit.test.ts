import { readFileSync } from 'node:fs';
import { PROBLEMS, ProblemError } from '@astis/protocol';
import { ApiError } from '@astis/sdk';
import { describe, expect, test } from 'vitest';
import { EXIT, failureOf, InterruptedError, UntrustedError, UsageError } from './exit.ts';

test('docs/cli.md lists every exit code', () => {
  const text = readFileSync(new URL('../../../../docs/cli.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| (\d+) \| (\w+) \|/gm)].map(([, code, name]) => [name, Number(code)]);
  expect(Object.fromEntries(rows)).toEqual(EXIT);
});

describe('failures', () => {
  const exitOf = (error: unknown): number => failureOf(error).exit;

  test('every problem of the gateway has its code; only a fault of the server is unexpected', () => {
    for (const code of Object.keys(PROBLEMS) as (keyof typeof PROBLEMS)[]) {
      const failure = failureOf(new ApiError(new ProblemError(code, 'detail').toProblem()));
      expect(failure.code).toBe(code);
      expect(failure.message).toBe('detail');
      if (code === 'internal') expect(failure.exit).toBe(EXIT.unexpected);
      else expect(failure.exit).toBeGreaterThan(EXIT.unexpected);
    }
  });

  test('a refusal names what to do next', () => {
    const problem = new ProblemError('approval_required', 'No.', { approvalId: 'the-id' }).toProblem();
    expect(failureOf(new ApiError(problem)).details).toContain(
      'Somebody else can approve it: astis approval approve the-id',
    );
    const invalid = new ProblemError('policy_invalid', 'No.', {
      errors: [{ path: '/cedar', message: 'does not parse' }],
    }).toProblem();
    expect(failureOf(new ApiError(invalid)).details).toContain('/cedar: does not parse');
  });

  test('errors of ours, of files and of nobody', () => {
    expect(exitOf(new UsageError('x'))).toBe(EXIT.usage);
    expect(exitOf(new InterruptedError())).toBe(EXIT.interrupted);
    expect(exitOf(new UntrustedError('whatever', 'x'))).toBe(EXIT.untrusted);
    const file = Object.assign(new Error('ENOENT'), { code: 'ENOENT', path: '/x' });
    expect(failureOf(file)).toMatchObject({
      exit: EXIT.usage,
      message: 'There is no such file or folder: /x',
    });
    expect(exitOf(Object.assign(new Error('full'), { code: 'ENOSPC' }))).toBe(EXIT.unexpected);
    expect(exitOf(new Error('x'))).toBe(EXIT.unexpected);
    expect(exitOf('x')).toBe(EXIT.unexpected);
  });
});
