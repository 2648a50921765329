import { toHex } from '@astis/protocol';
import { decode } from 'cborg';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuditError } from './errors.ts';
import { TENANT } from './log.fixture.ts';
import type { EntryRecord } from './record.ts';
import { decodeRecord, encodeRecord, MAX_TIME_MS } from './record.ts';

const entry: EntryRecord = {
  tenant: TENANT,
  seq: 1000,
  timeMs: 1_760_000_000_000,
  prev: new Uint8Array(32).fill(0xaa),
  commitment: new Uint8Array(32).fill(0xbb),
};

const arbitraryEntry = fc.record({
  tenant: fc.constant(TENANT),
  seq: fc.oneof(fc.maxSafeNat(), fc.nat({ max: 70_000 })),
  timeMs: fc.oneof(fc.integer({ min: 0, max: MAX_TIME_MS }), fc.nat({ max: 300 })),
  prev: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  commitment: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});

describe('the record', () => {
  it('has the bytes that docs/audit-log.md shows', () => {
    expect(toHex(encodeRecord(entry))).toBe(
      `8601500b8e4a5293c14f6e8a305d1f2c7b9e641903e81b00000199c82cc0005820${'aa'.repeat(32)}5820${'bb'.repeat(32)}`,
    );
  });

  it('is CBOR that a general decoder reads, in its shortest form, and comes back', () => {
    fc.assert(
      fc.property(arbitraryEntry, (each) => {
        const bytes = encodeRecord(each);
        // cborg's strict mode refuses integers that are longer than they need be.
        const [version, , seq, timeMs, prev, commitment] = decode(bytes, { strict: true });
        expect({ version, seq, timeMs, prev, commitment }).toEqual({
          version: 1,
          seq: each.seq,
          timeMs: each.timeMs,
          prev: each.prev,
          commitment: each.commitment,
        });
        expect(decodeRecord(bytes)).toEqual(each);
      }),
    );
  });

  it.each([
    ['a negative seq', { seq: -1 }],
    ['a fraction', { seq: 0.5 }],
    ['a seq past 2^53 - 1', { seq: 2 ** 53 }],
    ['a time after the year 9999', { timeMs: MAX_TIME_MS + 1 }],
    ['no number', { timeMs: Number.NaN }],
    ['a short hash', { prev: new Uint8Array(31) }],
    ['a long commitment', { commitment: new Uint8Array(33) }],
  ])('is not written with %s', (_, change) => {
    expect(() => encodeRecord({ ...entry, ...change })).toThrow(
      expect.objectContaining({ code: 'malformed_record' }),
    );
  });
});

/** Accepts only what encodes to the very same bytes, and fails in one way only. */
function strictly(bytes: Uint8Array): void {
  try {
    expect(encodeRecord(decodeRecord(bytes))).toEqual(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(AuditError);
    expect(error).toHaveProperty('code', 'malformed_record');
  }
}

describe('the strict decoder', () => {
  it('refuses every cut and every byte more', () => {
    const bytes = encodeRecord(entry);
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeRecord(bytes.subarray(0, end))).toThrow(AuditError);
    }
    expect(() => decodeRecord(Uint8Array.of(...bytes, 0))).toThrow(AuditError);
  });

  it('refuses integers in a longer form, another version and other heads', () => {
    const head = '8601500b8e4a5293c14f6e8a305d1f2c7b9e64';
    const hashes = `5820${'aa'.repeat(32)}5820${'bb'.repeat(32)}`;
    const refused = [
      `${head}1800${'00'}${hashes}`,
      `${head}190001${'00'}${hashes}`,
      `${head}1b001fffffffffffff${'1817'}${hashes}`,
      `${head}1b0020000000000000${'00'}${hashes}`,
      `${head}20${'00'}${hashes}`,
      `8602500b8e4a5293c14f6e8a305d1f2c7b9e640000${hashes}`,
      `9f01500b8e4a5293c14f6e8a305d1f2c7b9e640000${hashes}ff`,
      `870150 0b8e4a5293c14f6e8a305d1f2c7b9e640000${hashes}00`.replace(' ', ''),
    ];
    for (const text of refused) {
      const bytes = Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
      expect(() => decodeRecord(bytes), text).toThrow(expect.objectContaining({ code: 'malformed_record' }));
    }
  });

  it('lets nothing else through, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 130 }), strictly), { numRuns: 20_000 });
    fc.assert(
      fc.property(arbitraryEntry, fc.nat(), fc.nat({ max: 255 }), (each, at, value) => {
        const bytes = encodeRecord(each);
        bytes[at % bytes.length] = value;
        strictly(bytes);
      }),
      { numRuns: 20_000 },
    );
  });
});
