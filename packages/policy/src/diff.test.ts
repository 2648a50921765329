import { applyPatch } from 'diff';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultPolicyDocument } from './default-document.ts';
import { diffPolicies } from './diff.ts';
import { withCedar } from './example-requests.ts';

const open = '@id("open") permit (principal, action == Action::"release", resource);';
const night =
  '@id("night") forbid (principal, action == Action::"release", resource) when { context.hour < 6 };';

describe('diffPolicies', () => {
  it('finds nothing between a document and itself', () => {
    expect(diffPolicies(defaultPolicyDocument, { ...defaultPolicyDocument })).toEqual({
      fields: [],
      policies: { added: [], removed: [], changed: [] },
      text: '',
    });
  });

  it('names each field that changed', () => {
    const after = {
      ...defaultPolicyDocument,
      recovery: true,
      maxTtlSeconds: 86_400 * 7,
      timeZone: 'Europe/Berlin',
    };
    expect(diffPolicies(defaultPolicyDocument, after).fields).toEqual([
      { field: 'maxTtlSeconds', before: 7_776_000, after: 604_800 },
      { field: 'timeZone', before: 'UTC', after: 'Europe/Berlin' },
      { field: 'recovery', before: false, after: true },
    ]);
  });

  it('has everything as new for the first document', () => {
    const { fields, policies, text } = diffPolicies(undefined, withCedar(`${open}\n`));
    expect(fields.every(({ before }) => before === null)).toBe(true);
    expect(fields).toHaveLength(6);
    expect(policies).toEqual({
      added: [{ id: 'open', effect: 'permit', text: open }],
      removed: [],
      changed: [],
    });
    expect(text).toContain(`\n+${open}`);
  });

  it('tells added, removed and changed policies by their ids, wherever they stand', () => {
    const later = night.replace('< 6', '< 7');
    const extra = open.replace('"open"', '"extra"');
    const gone = open.replace('"open"', '"gone"');
    const { policies } = diffPolicies(
      withCedar(`${open}\n${night}\n${gone}`),
      withCedar(`${extra}\n${later}\n${open}`),
    );
    expect(policies).toEqual({
      added: [{ id: 'extra', effect: 'permit', text: extra }],
      removed: [{ id: 'gone', effect: 'permit', text: gone }],
      changed: [{ id: 'night', before: night, after: later }],
    });
  });

  it('takes a new reason for a change, but layout and comments only into the text', () => {
    const reasoned = open.replace('permit', '@reason("Because.") permit');
    expect(diffPolicies(withCedar(open), withCedar(reasoned)).policies.changed).toHaveLength(1);
    const laidOut = diffPolicies(
      withCedar(open),
      withCedar(`// Opening\n${open.replace(') permit', ')\npermit')}`),
    );
    expect(laidOut.policies).toEqual({ added: [], removed: [], changed: [] });
    expect(laidOut.text).toContain('+// Opening');
  });

  it('has a text from which the new document follows', () => {
    const line = fc.constantFrom('// a', '// b', '', open, night);
    const unique = fc.uniqueArray(line, { maxLength: 12 }).map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(unique, unique, (before, after) => {
        const { text } = diffPolicies(withCedar(before), withCedar(after));
        expect(text === '' ? before : applyPatch(before, text)).toBe(after);
      }),
    );
  });

  it('compares two large texts with nothing in common', () => {
    const comments = (word: string): string =>
      Array.from({ length: 4000 }, (_, i) => `// ${word} ${i}`).join('\n');
    const { text } = diffPolicies(withCedar(comments('old')), withCedar(comments('new')));
    expect(text).toContain('\n-// old 3999');
    expect(text).toContain('\n+// new 3999');
  });

  it('does not let an old text that no longer parses keep a new one out', () => {
    const { policies, text } = diffPolicies(withCedar('permit everything'), withCedar(open));
    expect(policies.added).toHaveLength(1);
    expect(text).toContain('-permit everything');
  });
});
