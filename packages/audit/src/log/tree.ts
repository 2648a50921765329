/**
 * The appender's side of the Merkle tree (RFC 6962 §2.1, RFC 9162 §2.1): a compact range, which grows by leaves
 * and never needs an old one again. It gives the root, the tiles' upper hashes and the new leaves' inclusion
 * proofs without a read.
 */
import { AuditError } from '../errors.ts';
import type { Hash } from '../hashes.ts';
import { EMPTY_ROOT, HASH_BYTES, nodeHash } from '../hashes.ts';

/** A tree of `size` leaves, as the roots of its perfect subtrees from left (largest) to right: one per set bit of `size`. */
export interface TreeState {
  readonly size: number;
  readonly frontier: readonly Hash[];
}

export const EMPTY_TREE: TreeState = { size: 0, frontier: [] };

/**
 * The root of a completed subtree of height 8·`level`: hash `index` of tile level `level` (C2SP tlog-tiles).
 * Level 0 are the leaf hashes, which are stored with the entries.
 */
export interface TileNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Hash;
}

export interface AppendedLeaves {
  readonly state: TreeState;
  /** Hashes of tile levels 1 and up that these leaves completed, to be stored in the append's own transaction. */
  readonly completedTileRoots: readonly TileNode[];
  /**
   * The proof of one of these leaves in the tree after them, from the leaf's sibling up (RFC 6962 §2.1.1).
   *
   * @throws {AuditError} `out_of_range` for an index that is not one of these leaves'.
   */
  inclusionProof(index: number): Hash[];
}

/** A tile's hashes stand for subtrees 8 levels apart: 256 to the tile. */
export const TILE_HEIGHT = 8;

const isOdd = (value: number): boolean => value % 2 === 1;

// Sizes reach 2^53 - 1, so halving and bits are arithmetic and not the 32-bit operators.
const atHeight = (value: number, height: number): number => Math.floor(value / 2 ** height);

/** The frontier by height: one hash where `size` has its bit set, nothing elsewhere. */
function byHeight({ size, frontier }: TreeState): (Hash | undefined)[] {
  const heights: (Hash | undefined)[] = [];
  let next = frontier.length;
  for (let height = 0; atHeight(size, height) > 0; height++) {
    const hash = isOdd(atHeight(size, height)) ? frontier[--next] : undefined;
    if (hash !== undefined && hash.length !== HASH_BYTES) throw new AuditError('invalid_head', 'not a hash');
    heights.push(hash);
  }
  if (!Number.isSafeInteger(size) || size < 0 || next !== 0) {
    throw new AuditError('invalid_head', 'the tree state does not have one hash per set bit of its size');
  }
  return heights;
}

/** The root of the tree (RFC 6962 §2.1), from the right because the smaller subtrees hang deeper. */
export function rootOf({ frontier }: TreeState): Hash {
  return (
    frontier.reduceRight<Hash | undefined>(
      (right, left) => (right === undefined ? left : nodeHash(left, right)),
      undefined,
    ) ?? EMPTY_ROOT
  );
}

/** @throws {AuditError} `invalid_head` when the state is none, `out_of_range` past 2^53 - 1 leaves. */
export function appendLeaves(before: TreeState, leaves: readonly Hash[]): AppendedLeaves {
  const old = byHeight(before);
  const size = before.size + leaves.length;
  if (!Number.isSafeInteger(size))
    throw new AuditError('out_of_range', 'a log holds at most 2^53 - 1 entries');

  // rows[h] are the perfect subtrees of height h that these leaves complete: indexes from before.size >> h on.
  const rows: (readonly Hash[])[] = [];
  let row = leaves;
  for (let height = 0; row.length > 0; height++) {
    rows.push(row);
    const waiting = isOdd(atHeight(before.size, height)) ? old[height] : undefined;
    const children = waiting === undefined ? row : [waiting, ...row];
    const parents: Hash[] = [];
    for (let i = 1; i < children.length; i += 2) {
      parents.push(nodeHash(children[i - 1] ?? EMPTY_ROOT, children[i] ?? EMPTY_ROOT));
    }
    row = parents;
  }

  const node = (height: number, index: number): Hash => {
    const hash = rows[height]?.[index - atHeight(before.size, height)] ?? old[height];
    if (hash === undefined) throw new AuditError('out_of_range', 'not a node of these leaves');
    return hash;
  };

  // tails[h] is the root of what is right of the last perfect subtree of height h.
  const frontier: Hash[] = [];
  const tails: (Hash | undefined)[] = [];
  let tail: Hash | undefined;
  for (let height = 0; atHeight(size, height) > 0; height++) {
    tails.push(tail);
    const subtrees = atHeight(size, height);
    if (isOdd(subtrees)) {
      const hash = node(height, subtrees - 1);
      frontier.unshift(hash);
      tail = tail === undefined ? hash : nodeHash(hash, tail);
    }
  }

  const completedTileRoots: TileNode[] = [];
  for (let level = 1; level * TILE_HEIGHT < rows.length; level++) {
    const first = atHeight(before.size, level * TILE_HEIGHT);
    for (const [i, hash] of (rows[level * TILE_HEIGHT] ?? []).entries()) {
      completedTileRoots.push({ level, index: first + i, hash });
    }
  }

  const inclusionProof = (index: number): Hash[] => {
    if (!Number.isSafeInteger(index) || index < before.size || index >= size) {
      throw new AuditError('out_of_range', 'not one of the appended leaves');
    }
    const proof: Hash[] = [];
    for (let height = 0; 2 ** height < size; height++) {
      const own = atHeight(index, height);
      const sibling = isOdd(own) ? own - 1 : own + 1;
      const perfect = atHeight(size, height);
      const right = tails[height];
      if (sibling < perfect) proof.push(node(height, sibling));
      else if (sibling === perfect && right !== undefined) proof.push(right);
    }
    return proof;
  };

  return { state: { size, frontier }, completedTileRoots, inclusionProof };
}
