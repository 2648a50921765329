/** What holds for every format alike: one value, one encoding, and nothing else is accepted. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CborFrame } from './codecs.fixture.ts';
import { CODECS, WHOLE } from './codecs.fixture.ts';
import { outcome } from './expectations.fixture.ts';
import type { Cbor } from './formats.ts';
import { concat, decodeCbor, encodeCbor, ProtocolError } from './formats.ts';

/** An encoded object with its map changed. */
function withMap(
  { open, close }: CborFrame,
  bytes: Uint8Array,
  change: (map: Map<number, Cbor>) => void,
): Uint8Array {
  const map = decodeCbor(open(bytes)) as Map<number, Cbor>;
  change(map);
  return close(encodeCbor(map));
}

const BINARY = CODECS.filter(({ cbor }) => cbor !== undefined);
const MAPS = CODECS.filter(
  ({ name, cbor }) => cbor !== undefined && name !== 'CBOR' && !name.startsWith('COSE'),
);

describe('strict decoding', () => {
  describe.each(BINARY)('$name', ({ samples, recode }) => {
    it('gives back the bytes that it was made from', () => {
      fc.assert(
        fc.property(samples, (bytes) => {
          expect(recode(bytes)).toEqual(bytes);
        }),
      );
    });

    it('refuses every cut and every byte too many', () => {
      fc.assert(
        fc.property(samples, fc.nat(), fc.integer({ min: 0, max: 255 }), (bytes, cut, extra) => {
          expect(outcome(() => recode(bytes.subarray(0, cut % bytes.length)))).not.toBe('accepted');
          expect(outcome(() => recode(concat(bytes, Uint8Array.of(extra))))).not.toBe('accepted');
        }),
      );
    });

    it('reads changed bytes as what they say or refuses them, but never as what they said before', () => {
      fc.assert(
        fc.property(samples, fc.nat(), fc.integer({ min: 1, max: 255 }), (bytes, at, flip) => {
          const changed = bytes.slice();
          changed[at % bytes.length] = (changed[at % bytes.length] ?? 0) ^ flip;
          let recoded: Uint8Array;
          try {
            recoded = recode(changed);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
            return;
          }
          expect(recoded).toEqual(changed);
        }),
      );
    });
  });

  describe.each(MAPS)('$name', ({ samples, recode, cbor = WHOLE }) => {
    it('refuses a field more, a field less and a field of another type', () => {
      fc.assert(
        fc.property(samples, fc.nat(), (bytes, pick) => {
          const more = withMap(cbor, bytes, (map) => map.set(99, 0));
          expect(outcome(() => recode(more))).toBe('unknown_field');
          const less = withMap(cbor, bytes, (map) => map.delete([...map.keys()][pick % map.size] ?? 0));
          expect(outcome(() => recode(less))).toMatch(/missing_field|invalid_field/);
          const typed = withMap(cbor, bytes, (map) =>
            map.set([...map.keys()][pick % map.size] ?? 0, new Map()),
          );
          expect(outcome(() => recode(typed))).toBe('wrong_type');
        }),
      );
    });

    it('refuses what is not a map', () => {
      expect(outcome(() => recode(cbor.close(encodeCbor([1, 2]))))).toBe('wrong_type');
      expect(outcome(() => recode(cbor.close(encodeCbor(7))))).toBe('wrong_type');
    });
  });
});
