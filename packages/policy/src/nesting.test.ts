import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from './compile.ts';
import { decide } from './decide.ts';
import { policyEngineHealthy } from './engine.ts';
import { PolicyError } from './errors.ts';
import { capsule, release, withCedar } from './example-requests.ts';
import { blankComments, checkNesting, MAX_DEPTH } from './nesting.ts';

const yes = 'principal.admin';
const when = (condition: string): string =>
  `@id("a") permit (principal, action == Action::"release", resource) when { ${condition} };`;

/** Each kind of nesting, n deep, evaluated to its depth. Cedar 4.13 breaks down at 100 to 400 of them. */
const KINDS: Record<string, (n: number) => string> = {
  parentheses: (n) => when('('.repeat(n) + yes + ')'.repeat(n)),
  sets: (n) => when(`${'['.repeat(n)}1${']'.repeat(n)}.contains(1)`),
  records: (n) => when(`${'{a:'.repeat(n)}context.hour${'}'.repeat(n)}${'.a'.repeat(n)} == 1`),
  calls: (n) => when('[true].contains('.repeat(n) + yes + ')'.repeat(n)),
  negations: (n) => when('!!!!('.repeat(n) + yes + ')'.repeat(n)),
  additions: (n) => when(`context.hour${' + context.hour'.repeat(n)} == 1`),
  'additions to the right': (n) => when(`${'1 + ('.repeat(n)}context.hour${')'.repeat(n)} == 1`),
  multiplications: (n) => when(`context.hour${' * 1'.repeat(n)} == 1`),
  conjunctions: (n) => when(`!${yes}${` && !${yes}`.repeat(n)}`),
  disjunctions: (n) => when(`${yes}${` || ${yes}`.repeat(n)}`),
  'disjunctions to the right': (n) => when(`${`${yes} || (`.repeat(n)}${yes}${')'.repeat(n)}`),
  'presence tests': (n) => when(`context has hour${' && context has hour'.repeat(n)}`),
  'else if': (n) => when(`${`if ${yes} then true else `.repeat(n)}true`),
  'then if': (n) => when(`${`if !${yes} then `.repeat(n)}true${' else true'.repeat(n)}`),
  'if if': (n) => when('if '.repeat(n) + yes + ' then true else true'.repeat(n)),
  attributes: (n) => when(`resource.recipient${'.admin'.repeat(n)}`),
  indexes: (n) => when(`resource.recipient${'["admin"]'.repeat(n)}`),
  'indexes within': (n) => when('context["a"'.repeat(n) + ']'.repeat(n)),
  methods: (n) => when(`context.now${'.offset(duration("1h"))'.repeat(n)} == context.now`),
  'when clauses': (n) =>
    `@id("a") permit (principal, action == Action::"release", resource)${`when { !${yes} }`.repeat(n)};`,
  'unclosed parentheses': (n) => when('('.repeat(n)),
  'a deep first operand': (n) =>
    when(`${'('.repeat(n / 4)}${yes}${')'.repeat(n / 4)}${` || ${yes}`.repeat(n)}`),
  'a deep first term': (n) => when(`${'('.repeat(n / 4)}1${')'.repeat(n / 4)}${' + 1'.repeat(n)} == 1`),
};

function attempt(cedar: string): string {
  try {
    decide(compilePolicy(withCedar(cedar)), release({ capsule: capsule() }));
    return 'taken';
  } catch (error) {
    if (error instanceof PolicyError) return error.code;
    throw error;
  }
}

describe('nesting', () => {
  it.each(Object.keys(KINDS))('of %s is refused before it can break the engine', (kind) => {
    const text = KINDS[kind] ?? ((n: number) => when(String(n)));
    for (const n of [1000, 20_000]) expect(() => checkNesting(text(n))).toThrow(PolicyError);
    expect(attempt(text(1000))).toBe('policy_too_large');
    // At every depth up to the limit the engine lives.
    for (let n = 4; n <= MAX_DEPTH; n += 4) attempt(text(n));
    expect(policyEngineHealthy()).toBe(true);
  });

  it('leaves ordinary policies room', () => {
    expect(attempt(when(`${'('.repeat(20)}${yes}${')'.repeat(20)}`))).toBe('taken');
    expect(attempt(when(Array(80).fill(yes).join(' || ')))).toBe('taken');
    expect(
      attempt(when(`principal in [${Array.from({ length: 1000 }, (_, i) => `Group::"g${i}"`).join(', ')}]`)),
    ).toBe('taken');
  });

  it('counts what stands in neither comments nor strings', () => {
    expect(() =>
      checkNesting(
        `// ${'('.repeat(1000)}\n${when(`principal.address == "${'('.repeat(1000)}\\"${'['.repeat(1000)}"`)}`,
      ),
    ).not.toThrow();
    // A carriage return ends a comment, as it does for Cedar; a quote that never ends hides nothing.
    expect(() => checkNesting(`// x\r${'('.repeat(1000)}`)).toThrow(PolicyError);
    expect(() => checkNesting(`"${'('.repeat(1000)}`)).toThrow(PolicyError);
  });

  it('never lets a random nest break the engine', () => {
    const { expression } = fc.letrec<{ expression: string; number: string }>((tie) => ({
      expression: fc.oneof(
        { depthSize: 'max', maxDepth: 60 },
        fc.constantFrom(yes, 'true', 'principal in resource.recipient'),
        tie('expression').map((e) => `(${e})`),
        tie('expression').map((e) => `!(${e})`),
        tie('expression').map((e) => `!!!!(${e})`),
        fc.tuple(tie('expression'), fc.nat(20)).map(([e, n]) => `${e}${` && !${yes}`.repeat(n)}`),
        fc.tuple(tie('expression'), fc.nat(20)).map(([e, n]) => `(${e})${` || ${yes}`.repeat(n)}`),
        tie('expression').map((e) => `if ${e} then ${yes} else ${yes}`),
        tie('expression').map((e) => `if ${yes} then true else ${e}`),
        tie('expression').map((e) => `[${e}].contains(${yes})`),
        tie('expression').map((e) => `{a: ${e}}.a`),
        tie('number').map((e) => `${e} == 1`),
      ),
      number: fc.oneof(
        { depthSize: 'max', maxDepth: 60 },
        fc.constantFrom('1', 'context.hour'),
        tie('number').map((e) => `1 + (${e})`),
        tie('number').map((e) => `-(${e})`),
        fc.tuple(tie('number'), fc.nat(30)).map(([e, n]) => `(${e})${' + 1'.repeat(n)}`),
        tie('expression').map((e) => `(if ${e} then 1 else context.minute)`),
      ),
    }));
    fc.assert(
      fc.property(expression, (condition) => {
        expect(attempt(when(condition))).not.toBe('policy_engine_failed');
      }),
      { numRuns: 500 },
    );
    expect(policyEngineHealthy()).toBe(true);
  });
});

describe('blankComments', () => {
  it('keeps every offset', () => {
    expect(blankComments('a // é"\nb "// no" //x')).toBe('a      \nb "// no"    ');
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(blankComments(text)).toHaveLength(text.length);
      }),
    );
  });
});
