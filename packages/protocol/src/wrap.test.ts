import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as objects from './arbitraries.fixture.ts';
import { comesBack, outcome } from './expectations.fixture.ts';
import type { Cbor, WrapContext } from './formats.ts';
import {
  checkWrapKey,
  decodeCbor,
  decodeWrap,
  encodeCbor,
  encodeWrap,
  KEM_NAMES,
  KEMS,
  toHex,
  wrapAad,
} from './formats.ts';

const [sample] = fc.sample(objects.wrap, { numRuns: 1, seed: 3 });
if (sample === undefined) throw new Error('no sample');

function forged(change: (map: Map<number, Cbor>) => void): Uint8Array {
  const map = decodeCbor(encodeWrap(sample ?? fail())) as Map<number, Cbor>;
  change(map);
  return encodeCbor(map);
}
const fail = (): never => {
  throw new Error('no sample');
};

describe('wrap', () => {
  it('comes back as it was given', () => {
    comesBack(objects.wrap, encodeWrap, decodeWrap);
  });

  it.each([0x0010, 0x0011, 0x0012, 0x0020, 0x0021, 0x647a, 0, 65_536])(
    'takes KEM %i only when it is in the registry',
    (id) => {
      const known = KEM_NAMES.find((name) => KEMS[name].id === id);
      const bytes = forged((map) => {
        map.set(1, id);
        map.set(3, new Uint8Array(known === undefined ? 32 : KEMS[known].encBytes));
      });
      expect(outcome(() => decodeWrap(bytes))).toBe(known === undefined ? 'unknown_algorithm' : 'accepted');
    },
  );

  it('refuses parts of another length', () => {
    const enc = KEMS[sample.kem].encBytes;
    expect(outcome(() => decodeWrap(forged((map) => map.set(3, new Uint8Array(enc + 1)))))).toBe(
      'invalid_length',
    );
    expect(outcome(() => decodeWrap(forged((map) => map.set(4, new Uint8Array(47)))))).toBe('invalid_length');
    expect(outcome(() => decodeWrap(forged((map) => map.set(2, new Uint8Array(31)))))).toBe('invalid_length');
  });

  it('is refused when it is filed under another key', () => {
    expect(outcome(() => checkWrapKey(sample, sample.keyId))).toBe('accepted');
    const [other] = fc.sample(objects.keyId, 1);
    if (other !== undefined) expect(outcome(() => checkWrapKey(sample, other))).toBe('invalid_field');
  });

  it('binds every part of its context: the AAD differs when any of them does', () => {
    fc.assert(
      fc.property(objects.wrapContext, objects.wrapContext, (context, other) => {
        const mixtures = (Object.keys(context) as (keyof WrapContext)[])
          .filter((key) => String(context[key]) !== String(other[key]))
          .map((key) => ({ ...context, [key]: other[key] }));
        const aads = [context, ...mixtures].map((each) => toHex(wrapAad(each)));
        expect(new Set(aads).size).toBe(mixtures.length + 1);
      }),
    );
  });
});
