/**
 * Proofs for any leaf and any two sizes (RFC 9162 §2.1.3.1 and §2.1.4.1), made from the stored hashes alone: leaf
 * hashes at tile level 0 and `completedTileRoots` above. For a log of n entries that is at most two reads for each of
 * its log256(n) levels, all at once.
 */
import { AuditError } from '../errors.ts';
import type { Hash } from '../hashes.ts';
import { EMPTY_ROOT, HASH_BYTES, nodeHash } from '../hashes.ts';
import { TILE_HEIGHT } from './tree.ts';

/**
 * Reads the hashes `start` (included) to `end` (excluded) of a tile level: 0 are leaf hashes, above are the
 * `completedTileRoots`. One call never crosses a tile, so `end - start` is at most 256, and a cache may hold whole
 * tiles. The log must have them all: a short answer is an error.
 */
export type FetchNodes = (level: number, start: number, end: number) => Promise<readonly Hash[]>;

/** Leaves `lo` (included) to `hi` (excluded). */
interface Range {
  readonly lo: number;
  readonly hi: number;
}

/** The largest power of two below `size`, where a tree divides (RFC 6962 §2.1). */
function split(size: number): number {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}

/** PATH(index, D[size]): the subtrees whose roots are the proof. */
function inclusionRanges(index: number, size: number): Range[] {
  const ranges: Range[] = [];
  let lo = 0;
  let hi = size;
  while (hi - lo > 1) {
    const middle = lo + split(hi - lo);
    if (index < middle) {
      ranges.push({ lo: middle, hi });
      hi = middle;
    } else {
      ranges.push({ lo, hi: middle });
      lo = middle;
    }
  }
  return ranges.reverse();
}

/** PROOF(oldSize, D[newSize]), for 0 < oldSize < newSize. */
function consistencyRanges(oldSize: number, newSize: number): Range[] {
  const ranges: Range[] = [];
  let lo = 0;
  let hi = newSize;
  while (oldSize !== hi) {
    const middle = lo + split(hi - lo);
    if (oldSize <= middle) {
      ranges.push({ lo: middle, hi });
      hi = middle;
    } else {
      ranges.push({ lo, hi: middle });
      lo = middle;
    }
  }
  // The old tree's own root is known to whoever asks; a part of it is not.
  if (lo > 0) ranges.push({ lo, hi });
  return ranges.reverse();
}

/** A perfect subtree, as the run of stored hashes under it. */
interface Run {
  readonly level: number;
  readonly start: number;
  readonly end: number;
}

/** Cuts a range into its perfect subtrees, from left to right. */
function runsOf({ lo, hi }: Range): Run[] {
  const runs: Run[] = [];
  for (let at = lo; at < hi; ) {
    let height = 0;
    while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= hi) height++;
    const level = Math.floor(height / TILE_HEIGHT);
    const width = 2 ** (TILE_HEIGHT * level);
    const end = at + 2 ** height;
    runs.push({ level, start: at / width, end: end / width });
    at = end;
  }
  return runs;
}

function perfectRoot(hashes: readonly Hash[]): Hash {
  let row = hashes;
  while (row.length > 1) {
    const parents: Hash[] = [];
    for (let i = 1; i < row.length; i += 2)
      parents.push(nodeHash(row[i - 1] ?? EMPTY_ROOT, row[i] ?? EMPTY_ROOT));
    row = parents;
  }
  return row[0] ?? EMPTY_ROOT;
}

const TILE_WIDTH = 2 ** TILE_HEIGHT;
const tileKey = (run: Run): string => `${run.level}/${Math.floor(run.start / TILE_WIDTH)}`;

async function fetchRun(fetchNodes: FetchNodes, { level, start, end }: Run): Promise<readonly Hash[]> {
  const hashes = await fetchNodes(level, start, end);
  if (hashes.length !== end - start || hashes.some((hash) => hash.length !== HASH_BYTES)) {
    throw new AuditError('missing_nodes', `the store lacks hashes ${start} to ${end} of tile level ${level}`);
  }
  return hashes;
}

/** The roots of the ranges, each of which ends at the right edge of a tree or is perfect. */
async function rootsOf(fetchNodes: FetchNodes, ranges: readonly Range[]): Promise<Hash[]> {
  const runs = ranges.map(runsOf);
  const reads = new Map<string, Run>();
  for (const run of runs.flat()) {
    const wider = reads.get(tileKey(run)) ?? run;
    reads.set(tileKey(run), {
      level: run.level,
      start: Math.min(run.start, wider.start),
      end: Math.max(run.end, wider.end),
    });
  }
  const fetched = new Map(
    await Promise.all(
      Array.from(
        reads,
        async ([key, run]) => [key, { run, hashes: await fetchRun(fetchNodes, run) }] as const,
      ),
    ),
  );
  const rootOfRun = (run: Run): Hash => {
    const tile = fetched.get(tileKey(run));
    const from = run.start - (tile?.run.start ?? 0);
    return perfectRoot(tile?.hashes.slice(from, from + run.end - run.start) ?? []);
  };
  return runs.map((parts) => parts.map(rootOfRun).reduceRight((right, left) => nodeHash(left, right)));
}

function checkRange(low: number, high: number, what: string): void {
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || low < 0 || low > high) {
    throw new AuditError('out_of_range', what);
  }
}

/**
 * Proof that leaf `index` is in the tree of the first `size` leaves, from its sibling up.
 *
 * @throws {AuditError} `out_of_range`, or `missing_nodes` when the store lacks a hash.
 */
export async function inclusionProof(fetchNodes: FetchNodes, index: number, size: number): Promise<Hash[]> {
  checkRange(index, size - 1, 'no such leaf in a tree of that size');
  return rootsOf(fetchNodes, inclusionRanges(index, size));
}

/**
 * Proof that the tree of `newSize` leaves begins with the tree of `oldSize`; empty from size 0 and between equal sizes.
 *
 * @throws {AuditError} `out_of_range`, or `missing_nodes` when the store lacks a hash.
 */
export async function consistencyProof(
  fetchNodes: FetchNodes,
  oldSize: number,
  newSize: number,
): Promise<Hash[]> {
  checkRange(oldSize, newSize, 'the old size is larger than the new one');
  return oldSize === 0 ? [] : rootsOf(fetchNodes, consistencyRanges(oldSize, newSize));
}

/** The root of the first `size` leaves, for any size that the log has had. */
export async function rootAt(fetchNodes: FetchNodes, size: number): Promise<Hash> {
  checkRange(0, size, 'not a size');
  const [root] = size === 0 ? [EMPTY_ROOT] : await rootsOf(fetchNodes, [{ lo: 0, hi: size }]);
  return root ?? EMPTY_ROOT;
}
