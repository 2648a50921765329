import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as objects from './arbitraries.fixture.ts';
import { outcome } from './expectations.fixture.ts';
import type { Cbor } from './formats.ts';
import {
  decodeCbor,
  decodeSign1,
  encodeCbor,
  encodeSign1,
  fromBase64Url,
  toBeSigned,
  toHex,
} from './formats.ts';

const [sample] = fc.sample(objects.sign1, { numRuns: 1, seed: 5 });
if (sample === undefined) throw new Error('no sample');
const { type } = sample;
const bytes = encodeSign1(sample);

/** Replaces one of the four parts. */
function part(index: number, value: Cbor): Uint8Array {
  const parts = [...(decodeCbor(bytes) as Cbor[])];
  parts[index] = value;
  return encodeCbor(parts);
}
const header = (entries: readonly (readonly [number, Cbor])[]): Uint8Array =>
  part(0, encodeCbor(new Map(entries)));
const kid = fromBase64Url(sample.keyId);

describe('COSE_Sign1', () => {
  it('comes back as it was given', () => {
    fc.assert(
      fc.property(objects.sign1, (value) => {
        expect(decodeSign1(encodeSign1(value), value.type)).toEqual(value);
      }),
    );
  });

  it('is not taken for an object of another type', () => {
    for (const other of objects.SIGNED_TYPES)
      expect(outcome(() => decodeSign1(bytes, other))).toBe(other === type ? 'accepted' : 'wrong_type');
  });

  it('signs type, key and payload: what is signed differs when any of them does', () => {
    fc.assert(
      fc.property(objects.sign1, objects.sign1, (a, b) => {
        const same = a.type === b.type && a.keyId === b.keyId && toHex(a.payload) === toHex(b.payload);
        const signs = (value: typeof a): string => toHex(toBeSigned(value.type, value.keyId, value.payload));
        expect(signs(a) === signs(b)).toBe(same);
      }),
    );
  });

  it('refuses other algorithms, header fields and parts', () => {
    expect(
      outcome(() =>
        decodeSign1(
          header([
            [1, -19],
            [4, kid],
            [16, type],
          ]),
          type,
        ),
      ),
    ).toBe('accepted');
    for (const algorithm of [-8, -7, 3, 0])
      expect(
        outcome(() =>
          decodeSign1(
            header([
              [1, algorithm],
              [4, kid],
              [16, type],
            ]),
            type,
          ),
        ),
      ).toBe('unknown_algorithm');
    expect(
      outcome(() =>
        decodeSign1(
          header([
            [1, -19],
            [4, kid],
          ]),
          type,
        ),
      ),
    ).toBe('missing_field');
    expect(
      outcome(() =>
        decodeSign1(
          header([
            [1, -19],
            [2, [16]],
            [4, kid],
            [16, type],
          ]),
          type,
        ),
      ),
    ).toBe('unknown_field');
    expect(outcome(() => decodeSign1(part(1, new Map([[1, -19]])), type))).toBe('unknown_field');
    expect(outcome(() => decodeSign1(part(2, 'payload'), type))).toBe('wrong_type');
    expect(outcome(() => decodeSign1(part(3, new Uint8Array(63)), type))).toBe('invalid_length');
    expect(outcome(() => decodeSign1(encodeCbor([1, 2, 3]), type))).toBe('wrong_type');
    expect(outcome(() => decodeSign1(encodeCbor([...(decodeCbor(bytes) as Cbor[]), 0]), type))).toBe(
      'wrong_type',
    );
  });

  it('refuses a header that is not deterministic, though it is only bytes to the outer item', () => {
    const swapped = Uint8Array.of(0xa3, 0x04, 0x58, 0x20, ...kid, 0x01, 0x32, 0x10, ...encodeCbor(type));
    expect(outcome(() => decodeSign1(part(0, swapped), type))).toBe('non_canonical');
    const long = Uint8Array.of(0xa3, 0x01, 0x38, 0x12, 0x04, 0x58, 0x20, ...kid, 0x10, ...encodeCbor(type));
    expect(outcome(() => decodeSign1(part(0, long), type))).toBe('malformed_encoding');
  });
});
