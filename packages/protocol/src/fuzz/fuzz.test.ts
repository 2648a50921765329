import { describe, expect, it } from 'vitest';
import { CODECS } from '../codecs.fixture.ts';
import { encodeCbor } from '../formats.ts';
import { fuzz } from './fuzz.ts';

describe('every decoder under mutated input', () => {
  it.each(CODECS)('$name refuses with a typed error, or accepts one encoding only', (codec) => {
    const report = fuzz(codec, 5_000, 20_260_801);
    expect(report.refused.size).toBeGreaterThan(0);
    // Neither all refused nor all accepted: both paths of the decoder are walked.
    expect(report.accepted).toBeGreaterThan(50);
    expect(report.accepted).toBeLessThan(report.inputs * 0.9);
  });

  it('finds a decoder that accepts two encodings, and one that throws what is not typed', () => {
    const [cbor] = CODECS;
    if (cbor === undefined) throw new Error('no codec');
    const lax = { ...cbor, recode: () => encodeCbor(0) };
    expect(() => fuzz(lax, 100, 1)).toThrow('encodes otherwise');
    const broken = {
      ...cbor,
      recode: (): Uint8Array => {
        throw new RangeError('offset');
      },
    };
    expect(() => fuzz(broken, 100, 1)).toThrow('RangeError');
  });
});
