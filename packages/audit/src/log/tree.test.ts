import { toHex } from '@astis/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Hash } from '../hashes.ts';
import { leafHash } from '../hashes.ts';
import { mth, path, REFERENCE_LEAVES, REFERENCE_ROOTS } from './reference-tree.fixture.ts';
import type { TileNode, TreeState } from './tree.ts';
import { appendLeaves, EMPTY_TREE, rootOf } from './tree.ts';

const leavesFrom = (start: number, count: number): Hash[] =>
  Array.from({ length: count }, (_, i) => leafHash(new TextEncoder().encode(`leaf ${start + i}`)));

describe('the compact range', () => {
  it("has the reference tree's published roots at sizes 0 to 8, leaf by leaf and at once", () => {
    let state: TreeState = EMPTY_TREE;
    expect(toHex(rootOf(state))).toBe(REFERENCE_ROOTS[0]);
    for (const [i, leaf] of REFERENCE_LEAVES.entries()) {
      state = appendLeaves(state, [leaf]).state;
      expect(toHex(rootOf(state))).toBe(REFERENCE_ROOTS[i + 1]);
      const atOnce = appendLeaves(EMPTY_TREE, REFERENCE_LEAVES.slice(0, i + 1)).state;
      expect(atOnce).toEqual(state);
    }
  });

  it('is the recursive tree for any sizes and batches, and proves each new leaf without a read', () => {
    const batches = fc.array(fc.nat({ max: 70 }), { maxLength: 8 });
    fc.assert(
      fc.property(batches, (counts) => {
        const all: Hash[] = [];
        let state: TreeState = EMPTY_TREE;
        for (const count of counts) {
          const leaves = leavesFrom(all.length, count);
          const appended = appendLeaves(state, leaves);
          all.push(...leaves);
          expect(appended.state.size).toBe(all.length);
          expect(rootOf(appended.state)).toEqual(mth(all));
          for (let index = state.size; index < all.length; index++) {
            expect(appended.inclusionProof(index)).toEqual(path(index, all));
          }
          state = appended.state;
        }
      }),
      { numRuns: 60 },
    );
  });

  it('emits each hash of the upper tile levels once, when its subtree is complete', () => {
    const size = 2 ** 16 + 3 * 256 + 5;
    const all = leavesFrom(0, size);
    let state: TreeState = EMPTY_TREE;
    const nodes: TileNode[] = [];
    // Steps that divide nothing, so that subtrees complete in the middle of a batch.
    for (let at = 0; at < size; at += 1009) {
      const appended = appendLeaves(state, all.slice(at, at + 1009));
      state = appended.state;
      for (const { level, index } of appended.completedTileRoots) {
        expect((index + 1) * 256 ** level).toBeGreaterThan(at);
        expect((index + 1) * 256 ** level).toBeLessThanOrEqual(state.size);
      }
      nodes.push(...appended.completedTileRoots);
    }
    expect(nodes.filter(({ level }) => level === 1).map(({ index }) => index)).toEqual(
      Array.from({ length: 259 }, (_, i) => i),
    );
    expect(nodes.filter(({ level }) => level === 2).map(({ index }) => index)).toEqual([0]);
    for (const { level, index, hash } of nodes.filter((_, i) => i % 50 === 0 || i > 250)) {
      expect(hash).toEqual(mth(all.slice(index * 256 ** level, (index + 1) * 256 ** level)));
    }
    expect(rootOf(state)).toEqual(mth(all));
  });

  it('works past 32 bits', () => {
    const size = 2 ** 40 + 2 ** 33 + 1;
    const frontier = leavesFrom(0, 3);
    const { state, inclusionProof } = appendLeaves({ size, frontier }, leavesFrom(3, 2));
    expect(state.size).toBe(size + 2);
    expect(state.frontier).toHaveLength(4);
    expect(inclusionProof(size)).toHaveLength(4);
  });

  it('refuses a state that is none and an index that is not new', () => {
    const invalid = expect.objectContaining({ code: 'invalid_head' });
    const [leaf = EMPTY_HASH] = leavesFrom(0, 1);
    for (const state of [
      { size: 3, frontier: [leaf] },
      { size: 1, frontier: [leaf, leaf] },
      { size: 0, frontier: [leaf] },
      { size: 1, frontier: [leaf.subarray(1)] },
      { size: -1, frontier: [] },
      { size: 0.5, frontier: [] },
      { size: 2 ** 53, frontier: [leaf] },
    ]) {
      expect(() => appendLeaves(state, [leaf])).toThrow(invalid);
    }
    const full = { size: 2 ** 53 - 1, frontier: Array<Hash>(53).fill(leaf) };
    expect(() => appendLeaves(full, [leaf])).toThrow(expect.objectContaining({ code: 'out_of_range' }));
    const { inclusionProof } = appendLeaves({ size: 1, frontier: [leaf] }, [leaf]);
    for (const index of [0, 2, -1, 1.5]) {
      expect(() => inclusionProof(index)).toThrow(expect.objectContaining({ code: 'out_of_range' }));
    }
  });
});

const EMPTY_HASH = new Uint8Array(32);
