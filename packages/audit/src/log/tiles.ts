/** Serving a log as C2SP tlog-tiles: which hashes make up which path below the log's prefix. */
import { concat } from '@astis/protocol';
import { AuditError } from '../errors.ts';
import type { Hash } from '../hashes.ts';
import { TILE_HEIGHT } from './tree.ts';

/** Hashes of a full tile, and entries of a full bundle. */
export const TILE_WIDTH = 2 ** TILE_HEIGHT;

export interface Tile {
  /** Tile level 0 to 63, or the bundle of entries over the same indexes as level 0. */
  readonly level: number | 'entries';
  readonly index: number;
  /** 1 to 255 for a partial tile, 256 for a full one. */
  readonly width: number;
}

const TILE_PATH = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/;

/** The one path of a tile: `tile/0/x001/x234/067`, with `.p/<width>` when it is partial. */
export function tilePath({ level, index, width }: Tile): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g) ?? [];
  const last = groups.length - 1;
  const path = groups.map((group, i) => (i < last ? `x${group}` : group)).join('/');
  return `tile/${level}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/**
 * Parses a path below the log's prefix, without a leading slash.
 *
 * @throws {AuditError} `malformed_tile_path` for everything but a path that `tilePath` makes.
 */
export function parseTilePath(path: string): Tile {
  const [, level = '', groups = '', width] = path.length > 64 ? [] : (TILE_PATH.exec(path) ?? []);
  const tile: Tile = {
    level: level === 'entries' ? level : Number(level),
    index: Number(groups.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  const inRange =
    (tile.level === 'entries' || tile.level <= 63) && tile.width >= 1 && Number.isSafeInteger(tile.index);
  if (!inRange || (width !== undefined && tile.width >= TILE_WIDTH) || tilePath(tile) !== path) {
    throw new AuditError('malformed_tile_path', 'not the path of a tile');
  }
  return tile;
}

/** The run of a tile level that makes up the tile: what to read with `FetchNodes` or from the entries. */
export function tileSpan(tile: Tile): {
  readonly level: number;
  readonly start: number;
  readonly end: number;
} {
  const start = tile.index * TILE_WIDTH;
  return { level: tile.level === 'entries' ? 0 : tile.level, start, end: start + tile.width };
}

/** Whether a log of `size` entries has the whole tile. A partial tile stays available after the log has grown past it. */
export function hasTile(tile: Tile, size: number): boolean {
  const { level, end } = tileSpan(tile);
  return end <= Math.floor(size / TILE_WIDTH ** level);
}

/** A tile's body: its hashes one after another. */
export function tileBytes(hashes: readonly Hash[]): Uint8Array {
  return concat(...hashes);
}

/** The body of a bundle of entries: each encoded record behind its length as a big-endian uint16. */
export function entryBundle(records: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...records.flatMap((record) => [Uint8Array.of(record.length >> 8, record.length & 0xff), record]),
  );
}
