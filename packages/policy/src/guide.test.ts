/** Runs docs/policy.md: its documents are compiled, its requests decided, its schema compared. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from './compile.ts';
import { decide } from './decide.ts';
import { defaultPolicyDocument } from './default-document.ts';
import type { PolicyDocument } from './document.ts';
import { PolicyError } from './errors.ts';
import { person } from './example-requests.ts';
import { guardsFor } from './guards.ts';
import { parsePolicies } from './parse.ts';
import type { PolicyPerson, PolicyRequest } from './request.ts';
import { cedarSchema } from './schema.ts';
import { effectiveTtl } from './ttl.ts';

const guide = readFileSync(new URL('../../../docs/policy.md', import.meta.url), 'utf8');

/** The guide in order: fenced blocks by their info string, and tables by their header. */
interface Part {
  readonly kind: string;
  readonly text: string;
  readonly rows: readonly (readonly string[])[];
}
const parts: Part[] = [...guide.matchAll(/^```(.*)\n([\s\S]*?)^```$|(?:^\|.*\|\n)+/gm)].map((match) => {
  const [whole, info, text] = match;
  if (info !== undefined) return { kind: info, text: text ?? '', rows: [] };
  const [header = [], , ...rows] = whole
    .trim()
    .split('\n')
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
  return { kind: header.join(' | '), text: '', rows };
});
const only = (kind: string): Part => {
  const [part, ...others] = parts.filter((candidate) => candidate.kind === kind);
  if (part === undefined || others.length > 0) throw new Error(`not one "${kind}" in the guide`);
  return part;
};
const code = (cell: string | undefined): string => /^`([^`]+)`$/.exec(cell ?? '')?.[1] ?? '';

const documentOfGuide: PolicyDocument = JSON.parse(only('json').text);
const base: PolicyDocument = { ...defaultPolicyDocument, timeZone: documentOfGuide.timeZone };

const people = new Map(
  only('person | address | administrator | outsider | groups | key in hardware').rows.map(
    ([name = '', address = '', admin, outsider, groups = '', hardware]): [string, PolicyPerson] => [
      name,
      person(name, {
        address,
        admin: admin === 'yes',
        outsider: outsider === 'yes',
        hardwareBacked: hardware === 'yes',
        groups: groups.split(' ').filter(Boolean),
      }),
    ],
  ),
);
function somebody(name: string): PolicyPerson {
  const found = people.get(name);
  if (found === undefined) throw new Error(`nobody is called ${name}`);
  return found;
}

const SETTINGS = [
  'to',
  'from',
  'labels',
  'at',
  'ip',
  'ttl',
  'age',
  'approved',
  'service',
  'requester',
  'recovery',
];

/** `bob release from=alice labels=secret,board` */
function read(line: string): { request: PolicyRequest; recovery: boolean } {
  const [who = '', action = '', ...words] = line.split(' ');
  const settings = new Map(
    words.map((word): [string, string] => [word.split('=', 1)[0] ?? '', word.slice(word.indexOf('=') + 1)]),
  );
  for (const name of settings.keys())
    if (!SETTINGS.includes(name)) throw new Error(`unknown setting ${name}`);
  const get = (name: string): string | undefined => settings.get(name);
  const principal = { ...somebody(who), service: get('service') === 'yes' };
  const now = Date.parse(get('at') ?? '2026-03-02T11:00Z') / 1000;
  const sealing = action === 'seal' || action === 'revoke' || action === 'extend';
  const recipient = somebody(get('to') ?? (sealing ? 'bob' : who));
  const sealer = somebody(get('from') ?? (sealing && who !== 'bob' ? who : 'alice'));
  const age = Number(get('age') ?? 60);
  const capsule = {
    id: 'capsule',
    labels: get('labels')?.split(',') ?? [],
    sealer: action === 'seal' ? principal : sealer,
    recipient: recipient.address === principal.address ? principal : recipient,
    sealedAt: now - age,
    expiresAt: now - age + 86_400,
  };
  const about = { principal, now, ip: get('ip') ?? '10.1.2.3' };
  const recovery = get('recovery') === 'on';
  switch (action) {
    case 'seal':
    case 'extend':
      return { recovery, request: { ...about, action, capsule, ttlSeconds: Number(get('ttl') ?? 3600) } };
    case 'release':
    case 'recover':
      return { recovery, request: { ...about, action, capsule, approved: get('approved') === 'yes' } };
    case 'approveRelease':
    case 'approveRecovery': {
      const requester = somebody(get('requester') ?? get('to') ?? who);
      return { recovery, request: { ...about, action, capsule, requester } };
    }
    case 'revoke':
      return { recovery, request: { ...about, action, capsule } };
    case 'managePeople':
    case 'managePolicy':
    case 'manageKeys':
    case 'readAudit':
      return { recovery, request: { ...about, action } };
    default:
      throw new Error(`unknown action ${action}`);
  }
}

/** The policies that a recipe's requests are put to. */
function textOf({ kind, text }: Part): string {
  const [, replaced] = /^cedar instead-of=(\S+)$/.exec(kind) ?? [];
  const kept = parsePolicies(base.cedar).filter(({ id }) => id !== replaced);
  return [...kept.map((policy) => policy.text), text].join('\n');
}

const requestTables = parts.flatMap((part, i) => {
  if (part.kind !== 'request | outcome') return [];
  const before = parts[i - 1];
  const recipe = before !== undefined && /^cedar( instead-of=\S+)?$/.test(before.kind) ? before : undefined;
  return [{ recipe, rows: part.rows }];
});

describe('docs/policy.md', () => {
  it('has a document that is accepted, and lives as it says', () => {
    expect(compilePolicy(documentOfGuide).warnings).toEqual([]);
    for (const [asked = '', expected = ''] of only('life asked for | answer').rows) {
      const answer = effectiveTtl(documentOfGuide, asked === 'none' ? undefined : Number(asked));
      expect([asked, answer.ok ? String(answer.ttlSeconds) : `\`${answer.code}\``]).toEqual([
        asked,
        expected,
      ]);
    }
  });

  it('prints the default policies, the rules that always hold and the vocabulary as they are', () => {
    expect(only('cedar default').text).toBe(defaultPolicyDocument.cedar);
    expect(only('cedarschema').text).toBe(cedarSchema);
    const guards = guardsFor({ recovery: false }).map(({ id }) => `\`${id}\``);
    expect(only('id | rule').rows.map(([id]) => id)).toEqual(guards);
    expect(only('field | meaning').rows.map(([field]) => code(field))).toEqual(
      Object.keys(defaultPolicyDocument),
    );
  });

  it('puts requests to each of its recipes', () => {
    const recipes = parts.filter(({ kind }) => kind === 'cedar' || kind.startsWith('cedar instead-of='));
    expect(recipes.length).toBeGreaterThan(8);
    expect(requestTables.flatMap(({ recipe }) => recipe ?? [])).toEqual(recipes);
    // Whatever else is fenced is checked by one of the other tests.
    const known = ['json', 'json problems', 'cedar default', 'cedar refused', 'cedarschema'];
    const fenced = parts.filter(
      ({ kind, rows }) => rows.length === 0 && !recipes.some((recipe) => recipe.kind === kind),
    );
    expect(fenced.map(({ kind }) => kind).filter((kind) => !known.includes(kind))).toEqual([]);
  });

  it.each(
    requestTables.flatMap(({ recipe, rows }) =>
      rows.map(([line, expected]) => ({ line: code(line), expected, recipe })),
    ),
  )('$line: $expected', ({ line, expected, recipe }) => {
    const { request, recovery } = read(line);
    const policy = compilePolicy({
      ...base,
      recovery,
      cedar: recipe === undefined ? base.cedar : textOf(recipe),
    });
    const { outcome, errors } = decide(policy, request);
    expect({ outcome, errors }).toEqual({ outcome: expected, errors: [] });
  });

  it('shows a refusal as it is', () => {
    const refused = () => compilePolicy({ ...base, cedar: only('cedar refused').text });
    expect(refused).toThrow(PolicyError);
    try {
      refused();
    } catch (error) {
      expect(error).toMatchObject({
        code: 'policy_invalid',
        problems: JSON.parse(only('json problems').text),
      });
    }
  });
});
