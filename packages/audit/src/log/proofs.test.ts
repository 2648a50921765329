/** Proofs made by the log's side and checked by the verifier's. */
import { toHex } from '@astis/protocol';
import { hex } from '@scure/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Hash } from '../hashes.ts';
import { EMPTY_ROOT, leafHash } from '../hashes.ts';
import { verifyConsistency, verifyInclusion } from '../verify/proofs.ts';
import type { FetchNodes } from './proofs.ts';
import { consistencyProof, inclusionProof, rootAt } from './proofs.ts';
import {
  mth,
  path,
  REFERENCE_CONSISTENCY,
  REFERENCE_INCLUSION,
  REFERENCE_LEAVES,
  REFERENCE_ROOTS,
  subproof,
} from './reference-tree.fixture.ts';
import { appendLeaves, EMPTY_TREE } from './tree.ts';

function storeOf(leaves: readonly Hash[]): { fetchNodes: FetchNodes; reads: [number, number, number][] } {
  const { completedTileRoots } = appendLeaves(EMPTY_TREE, leaves);
  const nodes = new Map(completedTileRoots.map(({ level, index, hash }) => [`${level}/${index}`, hash]));
  const reads: [number, number, number][] = [];
  const fetchNodes: FetchNodes = async (level, start, end) => {
    reads.push([level, start, end]);
    return Array.from({ length: end - start }, (_, i) => i + start).flatMap((index) => {
      const hash = level === 0 ? leaves[index] : nodes.get(`${level}/${index}`);
      return hash === undefined ? [] : [hash];
    });
  };
  return { fetchNodes, reads };
}

const numberedLeaves = (count: number): Hash[] =>
  Array.from({ length: count }, (_, i) => leafHash(new TextEncoder().encode(`leaf ${i}`)));

const flip = (hash: Hash, byte: number): Hash => hash.with(byte, (hash[byte] ?? 0) ^ 1);

const rootHex = (size: number): Hash => hex.decode(REFERENCE_ROOTS[size] ?? '');

describe('the published proofs of the reference tree', () => {
  const { fetchNodes } = storeOf(REFERENCE_LEAVES);

  it.each(REFERENCE_INCLUSION)('inclusion of leaf %i in size %i', async (index, size, hashes) => {
    const proof = hashes.map(hex.decode);
    expect((await inclusionProof(fetchNodes, index, size)).map(toHex)).toEqual(hashes);
    expect(verifyInclusion(REFERENCE_LEAVES[index] ?? EMPTY_ROOT, index, size, proof, rootHex(size))).toBe(
      true,
    );
  });

  it.each(REFERENCE_CONSISTENCY)('consistency of sizes %i and %i', async (oldSize, newSize, hashes) => {
    const proof = hashes.map(hex.decode);
    expect((await consistencyProof(fetchNodes, oldSize, newSize)).map(toHex)).toEqual(hashes);
    expect(verifyConsistency(oldSize, newSize, rootHex(oldSize), rootHex(newSize), proof)).toBe(true);
    // The probes of transparency-dev/merkle: the same proof, said to be of other sizes.
    if (proof.length === 0) return;
    for (const [before, after] of [
      [oldSize - 1, newSize],
      [oldSize + 1, newSize],
      [oldSize ^ 2, newSize],
      [oldSize, newSize * 2],
      [oldSize, newSize / 2],
    ] as const) {
      expect(verifyConsistency(before, after, rootHex(oldSize), rootHex(newSize), proof)).toBe(false);
    }
  });

  it('does not end before the top of the tree', () => {
    // All hashes in order for 1 to 2 leaves, and the size a lie: RFC 9162 §2.1.4.2, last step.
    const [a = EMPTY_ROOT, b = EMPTY_ROOT] = REFERENCE_LEAVES;
    expect(verifyConsistency(1, 2, a, mth([a, b]), [b])).toBe(true);
    expect(verifyConsistency(1, 3, a, mth([a, b]), [b])).toBe(false);
    expect(verifyInclusion(a, 0, 3, [b], mth([a, b]))).toBe(false);
  });
});

/** Which hash of a proof is changed: each up to 64 leaves, then another each time. Up to 9, all bytes are tried below. */
const isProbed = (at: number, size: number, other: number, length: number): boolean =>
  size <= 64 || at === (size + other) % length;

describe('every tree of up to 300 leaves', () => {
  const leaves = numberedLeaves(300);
  const { fetchNodes } = storeOf(leaves);
  const roots = Array.from({ length: 301 }, (_, size) => mth(leaves.slice(0, size)));
  const root = (size: number): Hash => roots[size] ?? EMPTY_ROOT;

  it('proves each leaf, and no proof survives a changed byte, hash, index or size', async () => {
    for (let size = 1; size <= 300; size++) {
      for (let index = 0; index < size; index++) {
        const leaf = leaves[index] ?? EMPTY_ROOT;
        const proof = await inclusionProof(fetchNodes, index, size);
        const holds = (...[l, i, s, p, r]: Parameters<typeof verifyInclusion>): boolean =>
          verifyInclusion(l, i, s, p, r);
        const ok = holds(leaf, index, size, proof, root(size));
        const byte = (index * 31 + size) % 32;
        const changed =
          holds(flip(leaf, byte), index, size, proof, root(size)) ||
          holds(leaf, index, size, proof, flip(root(size), byte)) ||
          proof.some(
            (hash, at) =>
              isProbed(at, size, index, proof.length) &&
              holds(leaf, index, size, proof.with(at, flip(hash, byte)), root(size)),
          ) ||
          holds(leaf, index, size, [...proof, leaf], root(size)) ||
          holds(leaf, index, size, [leaf, ...proof], root(size)) ||
          (proof.length > 0 && holds(leaf, index, size, proof.slice(1), root(size))) ||
          (proof.length > 0 && holds(leaf, index, size, proof.slice(0, -1), root(size))) ||
          (size > 1 && holds(leaf, index === 0 ? 1 : index - 1, size, proof, root(size)));
        if (!ok || changed)
          expect.fail(`leaf ${index} of ${size}: ${ok ? 'a changed proof holds' : 'no proof'}`);
      }
    }
  });

  it('proves each pair of sizes, and no proof survives a changed byte, hash or root', async () => {
    for (let newSize = 1; newSize <= 300; newSize++) {
      for (let oldSize = 1; oldSize <= newSize; oldSize++) {
        const proof = await consistencyProof(fetchNodes, oldSize, newSize);
        const holds = (o: Hash, n: Hash, p: readonly Hash[]): boolean =>
          verifyConsistency(oldSize, newSize, o, n, p);
        const [before, after] = [root(oldSize), root(newSize)];
        const byte = (oldSize * 31 + newSize) % 32;
        const changed =
          holds(flip(before, byte), after, proof) ||
          holds(before, flip(after, byte), proof) ||
          proof.some(
            (hash, at) =>
              isProbed(at, newSize, oldSize, proof.length) &&
              holds(before, after, proof.with(at, flip(hash, byte))),
          ) ||
          holds(before, after, [...proof, before]) ||
          holds(before, after, [before, ...proof]) ||
          (proof.length > 0 &&
            (holds(before, after, proof.slice(1)) || holds(before, after, proof.slice(0, -1))));
        if (!holds(before, after, proof) || changed) expect.fail(`from ${oldSize} to ${newSize}`);
      }
    }
  });

  it('survives no changed byte anywhere, tried one by one up to 9 leaves', async () => {
    for (let size = 1; size <= 9; size++) {
      for (let index = 0; index < size; index++) {
        const leaf = leaves[index] ?? EMPTY_ROOT;
        const proof = await inclusionProof(fetchNodes, index, size);
        const consistency = await consistencyProof(fetchNodes, index + 1, size);
        for (let byte = 0; byte < 32; byte++) {
          for (const at of proof.keys()) {
            const changed = proof.with(at, flip(proof[at] ?? leaf, byte));
            expect(verifyInclusion(leaf, index, size, changed, root(size))).toBe(false);
          }
          for (const at of consistency.keys()) {
            const changed = consistency.with(at, flip(consistency[at] ?? leaf, byte));
            expect(verifyConsistency(index + 1, size, root(index + 1), root(size), changed)).toBe(false);
          }
        }
      }
    }
  });

  it('are the proofs that RFC 6962 defines', async () => {
    for (const size of [1, 2, 3, 7, 8, 100, 255, 256, 257, 300]) {
      const part = leaves.slice(0, size);
      expect(await rootAt(fetchNodes, size)).toEqual(mth(part));
      for (const index of [0, 1, 6, 99, 254, 255, 256, size - 1].filter((each) => each < size)) {
        expect(await inclusionProof(fetchNodes, index, size)).toEqual(path(index, part));
        expect(await consistencyProof(fetchNodes, index + 1, size)).toEqual(subproof(index + 1, part, true));
      }
    }
  });
});

describe('a larger tree', () => {
  const leaves = numberedLeaves(70_000);
  const { fetchNodes, reads } = storeOf(leaves);
  const size = leaves.length;

  it('proves with at most two reads a level, none across a tile', async () => {
    const root = await rootAt(fetchNodes, size);
    expect(root).toEqual(mth(leaves));
    for (const index of [0, 255, 256, 40_000, 65_535, 65_536, 69_999]) {
      reads.length = 0;
      const proof = await inclusionProof(fetchNodes, index, size);
      expect(verifyInclusion(leaves[index] ?? EMPTY_ROOT, index, size, proof, root)).toBe(true);
      for (const level of [0, 1, 2]) {
        expect(reads.filter(([each]) => each === level).length).toBeLessThanOrEqual(2);
      }
      for (const [, start, end] of reads) expect(Math.floor((end - 1) / 256)).toBe(Math.floor(start / 256));
    }
    for (const old of [1, 256, 65_536, 65_537, 69_999]) {
      const proof = await consistencyProof(fetchNodes, old, size);
      expect(verifyConsistency(old, size, await rootAt(fetchNodes, old), root, proof)).toBe(true);
    }
  });

  it('says so when the store lacks a hash', async () => {
    const lacking: FetchNodes = async (level, start, end) =>
      level === 1 ? [] : await fetchNodes(level, start, end);
    await expect(inclusionProof(lacking, 0, size)).rejects.toThrow(
      expect.objectContaining({ code: 'missing_nodes' }),
    );
    const cut: FetchNodes = async (level, start, end) =>
      (await fetchNodes(level, start, end)).map((hash) => hash.subarray(1));
    await expect(rootAt(cut, size)).rejects.toThrow(expect.objectContaining({ code: 'missing_nodes' }));
  });
});

describe('edges', () => {
  const { fetchNodes } = storeOf(numberedLeaves(8));
  const outOfRange = expect.objectContaining({ code: 'out_of_range' });

  it('refuses to prove what no tree has', async () => {
    await expect(inclusionProof(fetchNodes, 0, 0)).rejects.toThrow(outOfRange);
    await expect(inclusionProof(fetchNodes, 8, 8)).rejects.toThrow(outOfRange);
    await expect(inclusionProof(fetchNodes, -1, 8)).rejects.toThrow(outOfRange);
    await expect(inclusionProof(fetchNodes, 0.5, 8)).rejects.toThrow(outOfRange);
    await expect(consistencyProof(fetchNodes, 5, 4)).rejects.toThrow(outOfRange);
    await expect(rootAt(fetchNodes, Number.NaN)).rejects.toThrow(outOfRange);
  });

  it('knows the empty tree', async () => {
    expect(await rootAt(fetchNodes, 0)).toEqual(EMPTY_ROOT);
    expect(await consistencyProof(fetchNodes, 0, 8)).toEqual([]);
    const root = await rootAt(fetchNodes, 8);
    expect(verifyConsistency(0, 8, EMPTY_ROOT, root, [])).toBe(true);
    expect(verifyConsistency(0, 8, root, root, [])).toBe(false);
    expect(verifyConsistency(0, 8, EMPTY_ROOT, root, [root])).toBe(false);
    expect(verifyConsistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])).toBe(true);
  });

  it('goes back in time for nobody', () => {
    expect(verifyConsistency(2, 1, EMPTY_ROOT, EMPTY_ROOT, [])).toBe(false);
    expect(verifyInclusion(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)).toBe(false);
    expect(verifyInclusion(EMPTY_ROOT, 1, 1, [], EMPTY_ROOT)).toBe(false);
    expect(verifyInclusion(EMPTY_ROOT, 2 ** 53, 2 ** 53 + 2, [], EMPTY_ROOT)).toBe(false);
  });

  it('never throws on proofs of any shape', () => {
    const hash = fc.uint8Array({ maxLength: 40 });
    const count = fc.oneof(fc.nat({ max: 20 }), fc.maxSafeInteger(), fc.double());
    fc.assert(
      fc.property(hash, count, count, fc.array(hash, { maxLength: 70 }), hash, (leaf, a, b, proof, root) => {
        expect(verifyInclusion(leaf, a, b, proof, root)).toBe(false);
        if (a !== b && a !== 0) expect(verifyConsistency(a, b, leaf, root, proof)).toBe(false);
      }),
      { numRuns: 5000 },
    );
  });
});
