import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as objects from './arbitraries.fixture.ts';
import { comesBack, outcome } from './expectations.fixture.ts';
import type { Cbor, Statement } from './formats.ts';
import {
  canonicalStatement,
  decodeCbor,
  decodeStatement,
  encodeCbor,
  encodeStatement,
  MAX_LABELS,
  MAX_RECIPIENTS,
  ORGANISATION,
  parseAddress,
} from './formats.ts';

const [sample] = fc.sample(objects.statement, { numRuns: 1, seed: 11 });
const [first, second] = fc.sample(objects.keyId, { numRuns: 2, seed: 11 });
if (sample === undefined || first === undefined || second === undefined) throw new Error('no sample');
const ann = { address: parseAddress('ann@a.example'), keyId: first };
const bob = { address: parseAddress('bob@b.example'), keyId: second };
const statement: Statement = { ...sample, recipients: [ann, bob], labels: ['a', 'b'] };

/** Encodes what the encoder itself would refuse. */
function forged(change: (map: Map<number, Cbor>) => void): Uint8Array {
  const map = decodeCbor(encodeStatement(statement)) as Map<number, Cbor>;
  change(map);
  return encodeCbor(map);
}
const recipients = (...list: readonly (typeof ann)[]): Cbor =>
  list.map(({ address, keyId }) => [address, Uint8Array.from(Buffer.from(keyId, 'base64url'))]);

describe('statement', () => {
  it('comes back as it was given', () => {
    comesBack(objects.statement, encodeStatement, decodeStatement);
  });

  it('has one form, whatever order recipients and labels are given in', () => {
    fc.assert(
      fc.property(objects.statement, fc.infiniteStream(fc.nat()), (value, random) => {
        const shuffled = <T>(list: readonly T[]): T[] =>
          list
            .map((item) => ({ item, key: random.next().value ?? 0 }))
            .sort((a, b) => a.key - b.key)
            .map(({ item }) => item);
        const other = { ...value, recipients: shuffled(value.recipients), labels: shuffled(value.labels) };
        expect(encodeStatement(canonicalStatement(other))).toEqual(encodeStatement(value));
      }),
    );
  });

  it('orders by bytes, not by locale: "organisation" stands among the addresses', () => {
    const upper = {
      ...statement,
      labels: ['ä', 'Z', 'a'],
      recipients: [{ ...ann, address: ORGANISATION }, bob, ann],
    };
    const canonical = canonicalStatement(upper);
    expect(canonical.labels).toEqual(['Z', 'a', 'ä']);
    expect(canonical.recipients.map(({ address }) => address)).toEqual([
      ann.address,
      bob.address,
      ORGANISATION,
    ]);
  });

  it('refuses a recipient twice, under the same key or another', () => {
    for (const again of [ann, { ...ann, keyId: bob.keyId }]) {
      expect(outcome(() => canonicalStatement({ ...statement, recipients: [ann, again] }))).toBe(
        'duplicate_recipient',
      );
      expect(outcome(() => encodeStatement({ ...statement, recipients: [ann, again] }))).toBe(
        'duplicate_recipient',
      );
      const bytes = forged((map) => map.set(8, recipients(ann, again)));
      expect(outcome(() => decodeStatement(bytes))).toBe('duplicate_recipient');
    }
  });

  it('refuses recipients and labels out of order, and a label twice', () => {
    expect(outcome(() => decodeStatement(forged((map) => map.set(8, recipients(bob, ann)))))).toBe(
      'non_canonical',
    );
    expect(outcome(() => decodeStatement(forged((map) => map.set(9, ['b', 'a']))))).toBe('non_canonical');
    expect(outcome(() => decodeStatement(forged((map) => map.set(9, ['a', 'a']))))).toBe('non_canonical');
  });

  it('refuses no recipient and too many of anything', () => {
    expect(outcome(() => decodeStatement(forged((map) => map.set(8, []))))).toBe('missing_field');
    const many = Array.from({ length: MAX_RECIPIENTS + 1 }, (_, i) => ({
      ...ann,
      address: parseAddress(`r${String(i).padStart(5, '0')}@a.example`),
    }));
    expect(outcome(() => encodeStatement({ ...statement, recipients: many }))).toBe('too_large');
    expect(outcome(() => decodeStatement(forged((map) => map.set(8, recipients(...many)))))).toBe(
      'invalid_length',
    );
    expect(outcome(() => encodeStatement({ ...statement, recipients: many.slice(1) }))).toBe('accepted');
    const labels = Array.from({ length: MAX_LABELS + 1 }, (_, i) => `l${String(i).padStart(2, '0')}`);
    expect(outcome(() => encodeStatement({ ...statement, labels }))).toBe('too_large');
    expect(outcome(() => decodeStatement(forged((map) => map.set(9, labels))))).toBe('invalid_length');
  });

  it.each(['', ' a', 'a\n', 'a\u0000', 'a\u202eb', '-a', 'a'.repeat(65), '\ud800', 'a;b'])(
    'refuses the label %j',
    (label) => {
      expect(outcome(() => encodeStatement({ ...statement, labels: [label] }))).toBe('invalid_field');
    },
  );

  it('refuses an end that is not after the sealing', () => {
    const { sealedAt } = statement;
    expect(outcome(() => encodeStatement({ ...statement, notAfter: sealedAt }))).toBe('invalid_field');
    expect(outcome(() => decodeStatement(forged((map) => map.set(7, sealedAt))))).toBe('invalid_field');
  });

  it('refuses recipients of another shape', () => {
    const key = new Uint8Array(32);
    for (const entry of [
      7,
      ['ann@a.example'],
      ['ann@a.example', key, 0],
      [key, 'ann@a.example'],
      ['ann@a.example', 'x'],
    ])
      expect(outcome(() => decodeStatement(forged((map) => map.set(8, [entry]))))).toBe('wrong_type');
    expect(outcome(() => decodeStatement(forged((map) => map.set(8, [['Ann@a.example', key]]))))).toBe(
      'non_canonical',
    );
    expect(
      outcome(() => decodeStatement(forged((map) => map.set(8, [['ann@a.example', key.subarray(1)]])))),
    ).toBe('invalid_length');
  });
});
