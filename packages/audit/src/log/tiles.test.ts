import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuditError } from '../errors.ts';
import { leafHash } from '../hashes.ts';
import { buildLog } from '../log.fixture.ts';
import type { Tile } from './tiles.ts';
import { entryBundle, hasTile, parseTilePath, tileBytes, tilePath, tileSpan } from './tiles.ts';

const full = (level: Tile['level'], index: number): Tile => ({ level, index, width: 256 });

describe('tile paths (C2SP tlog-tiles)', () => {
  it.each<[string, Tile]>([
    ['tile/0/x001/x234/067', full(0, 1_234_067)],
    ['tile/0/000', full(0, 0)],
    ['tile/63/999', full(63, 999)],
    ['tile/1/x001/000', full(1, 1000)],
    ['tile/entries/x001/x234/067', full('entries', 1_234_067)],
    ['tile/0/x001/x234/067.p/8', { level: 0, index: 1_234_067, width: 8 }],
    ['tile/entries/273.p/112', { level: 'entries', index: 273, width: 112 }],
    ['tile/2/000.p/1', { level: 2, index: 0, width: 1 }],
  ])('%s', (path, tile) => {
    expect(parseTilePath(path)).toEqual(tile);
    expect(tilePath(tile)).toBe(path);
  });

  it.each([
    '',
    '/tile/0/000',
    'tile/0/0',
    'tile/0/0000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/x000/001',
    'tile/0/001/002',
    'tile/0/x001',
    'tile/0/x001/x002',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/08',
    'tile/0/000.p/',
    'tile/0/000/',
    'tile/0/000\n',
    'tile/0/٠٠٠',
    'tile/data/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    `tile/0/${'x000/'.repeat(1000)}000`,
  ])('not %j', (path) => {
    expect(() => parseTilePath(path)).toThrow(expect.objectContaining({ code: 'malformed_tile_path' }));
  });

  it('lets only the one path of a tile through', () => {
    const piece = fc.constantFrom(
      'tile',
      'entries',
      '0',
      '1',
      '63',
      'x001',
      '000',
      '067',
      '.p',
      '/',
      '8',
      '255',
      '256',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 9 }).map((parts) => parts.join('/')),
        ),
        (path) => {
          try {
            expect(tilePath(parseTilePath(path))).toBe(path);
          } catch (error) {
            expect(error).toBeInstanceOf(AuditError);
          }
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('comes back from any tile', () => {
    const level = fc.oneof(fc.nat({ max: 63 }), fc.constant('entries' as const));
    fc.assert(
      fc.property(level, fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (l, index, width) => {
        expect(parseTilePath(tilePath({ level: l, index, width }))).toEqual({ level: l, index, width });
      }),
    );
  });
});

it("a log of 70,000 entries has the tiles of the specification's example", () => {
  const has = (path: string): boolean => hasTile(parseTilePath(path), 70_000);
  expect(
    ['tile/0/272', 'tile/0/273.p/112', 'tile/1/000', 'tile/1/001.p/17', 'tile/2/000.p/1'].map(has),
  ).toEqual(Array(5).fill(true));
  expect(
    [
      'tile/0/273',
      'tile/0/273.p/113',
      'tile/1/001',
      'tile/1/001.p/18',
      'tile/2/000.p/2',
      'tile/3/000.p/1',
    ].map(has),
  ).toEqual(Array(6).fill(false));
  // Partial tiles of sizes that the log has grown past.
  expect(['tile/0/273.p/1', 'tile/0/000.p/255', 'tile/1/000.p/3'].map(has)).toEqual([true, true, true]);
  expect(tileSpan(parseTilePath('tile/1/001.p/17'))).toEqual({ level: 1, start: 256, end: 273 });
  expect(tileSpan(parseTilePath('tile/entries/001'))).toEqual({ level: 0, start: 256, end: 512 });
});

it("a bundle's entries hash to the tile over the same indexes", () => {
  const { entries } = buildLog({ batches: [5] });
  const bundle = entryBundle(entries.map(({ record }) => record));
  const tile = tileBytes(entries.map((entry) => entry.leafHash));
  expect(tile).toHaveLength(5 * 32);
  const view = new DataView(bundle.buffer, bundle.byteOffset);
  let at = 0;
  for (let i = 0; i < 5; i++) {
    const length = view.getUint16(at);
    expect(leafHash(bundle.subarray(at + 2, at + 2 + length))).toEqual(tile.subarray(32 * i, 32 * (i + 1)));
    at += 2 + length;
  }
  expect(at).toBe(bundle.length);
});
