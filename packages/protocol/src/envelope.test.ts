import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as objects from './arbitraries.fixture.ts';
import { comesBack, outcome } from './expectations.fixture.ts';
import {
  CHUNK_BYTES,
  concat,
  decodeEnvelopeHeader,
  encodeCbor,
  encodeEnvelopeHeader,
  HASH_BYTES,
  headerLength,
  layoutFor,
  layoutOf,
  MAGIC,
  MAX_HEADER_BYTES,
  PREAMBLE_BYTES,
  SIGNATURE_BYTES,
  TAG_BYTES,
  utf8,
} from './formats.ts';

const fileBytes = (headerBytes: number, plaintextBytes: number): number =>
  layoutFor(headerBytes, plaintextBytes).signatureAt + SIGNATURE_BYTES;

function withLength(bytes: Uint8Array, length: number): Uint8Array {
  const out = bytes.slice();
  new DataView(out.buffer).setUint32(MAGIC.length, length);
  return out;
}

const [header] = fc.sample(objects.header, { numRuns: 1, seed: 7 });
if (header === undefined) throw new Error('no sample');
const encoded = encodeEnvelopeHeader(header);

describe('envelope header', () => {
  it('comes back as it was given', () => {
    comesBack(objects.header, encodeEnvelopeHeader, decodeEnvelopeHeader);
  });

  it('is never longer than a reader takes', () => {
    expect(encodeEnvelopeHeader(header).length - PREAMBLE_BYTES).toBeLessThan(MAX_HEADER_BYTES / 8);
  });

  it('refuses another magic as an unknown version', () => {
    const other = concat(utf8('astis-envelope/v2\n'), encoded.subarray(MAGIC.length));
    expect(outcome(() => decodeEnvelopeHeader(other))).toBe('unknown_version');
    expect(outcome(() => headerLength(new Uint8Array(PREAMBLE_BYTES)))).toBe('unknown_version');
  });

  it('refuses lengths that lie', () => {
    const body = encoded.length - PREAMBLE_BYTES;
    expect(outcome(() => decodeEnvelopeHeader(withLength(encoded, body + 1)))).toBe('invalid_length');
    expect(outcome(() => decodeEnvelopeHeader(withLength(encoded, body - 1)))).toBe('trailing_bytes');
    expect(outcome(() => decodeEnvelopeHeader(withLength(encoded, 0)))).toBe('invalid_length');
    expect(outcome(() => headerLength(withLength(encoded, MAX_HEADER_BYTES + 1)))).toBe('invalid_length');
    expect(outcome(() => headerLength(withLength(encoded, 0xffff_ffff)))).toBe('invalid_length');
    expect(outcome(() => headerLength(encoded.subarray(0, PREAMBLE_BYTES - 1)))).toBe('invalid_length');
  });

  it('refuses an AEAD that it does not know', () => {
    const body = encodeCbor(
      new Map<number, number | string | Uint8Array>([
        [1, new Uint8Array(16)],
        [2, new Uint8Array(16)],
        [3, 'a@b.example'],
        [4, new Uint8Array(32)],
        [5, new Uint8Array(32)],
        [6, 1],
      ]),
    );
    const bytes = withLength(concat(MAGIC, new Uint8Array(4), body), body.length);
    expect(outcome(() => decodeEnvelopeHeader(bytes))).toBe('unknown_algorithm');
  });

  it('refuses an address that is not in its normal form', () => {
    const at = Buffer.from(encoded).indexOf(header.sealer);
    const upper = encoded.slice();
    const first = header.sealer.search(/[a-z]/);
    upper[at + first] = (upper[at + first] ?? 0) - 32;
    expect(outcome(() => decodeEnvelopeHeader(upper))).toBe('non_canonical');
  });
});

describe('envelope layout', () => {
  const EDGES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 ** 31, 5 * 2 ** 40];
  const plaintext = fc.oneof(fc.constantFrom(...EDGES), fc.integer({ min: 0, max: 2 ** 45 }));
  const headerBytes = fc.integer({ min: PREAMBLE_BYTES + 1, max: PREAMBLE_BYTES + MAX_HEADER_BYTES });

  it('follows from the size of the file alone', () => {
    fc.assert(
      fc.property(headerBytes, plaintext, (head, length) => {
        expect(layoutOf(head, fileBytes(head, length))).toEqual(layoutFor(head, length));
      }),
    );
  });

  it('has one chunk more for each MiB begun, and one for nothing', () => {
    expect(EDGES.slice(0, 6).map((length) => layoutFor(0, length).chunks)).toEqual([1, 1, 1, 1, 2, 2]);
  });

  it('grows by one for each byte, but by a chunk more at its edge: no size in between is taken', () => {
    const perChunk = TAG_BYTES + HASH_BYTES;
    for (const length of EDGES.slice(2, 6)) {
      const before = fileBytes(100, length);
      const after = fileBytes(100, length + 1);
      if (length % CHUNK_BYTES !== 0) expect(after).toBe(before + 1);
      else {
        expect(after).toBe(before + 1 + perChunk);
        for (let size = before + 1; size < after; size++)
          expect(outcome(() => layoutOf(100, size))).toBe('invalid_length');
      }
    }
  });

  it('refuses what is too short for an empty payload, and sizes past what is exact', () => {
    const empty = fileBytes(100, 0);
    expect(layoutOf(100, empty).plaintextBytes).toBe(0);
    for (const size of [0, 99, 100, empty - 1, empty + 0.5, Number.NaN, 2 ** 54, Number.POSITIVE_INFINITY])
      expect(outcome(() => layoutOf(100, size))).toBe('invalid_length');
    expect(outcome(() => layoutFor(100, 2 ** 52 + 1))).toBe('too_large');
    expect(outcome(() => layoutOf(100, 2 ** 53))).toBe('too_large');
  });
});
