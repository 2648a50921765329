/** The verifier's own way to a root: a stack that merges equal heights, as a binary counter carries. */
import type { Hash } from '../hashes.ts';
import { EMPTY_ROOT, nodeHash } from '../hashes.ts';

export class RootStack {
  readonly #hashes: Hash[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(leaf: Hash): void {
    let hash = leaf;
    // A subtree is complete for each trailing one of the size before.
    for (let carry = this.#size; carry % 2 === 1; carry = (carry - 1) / 2) {
      const left = this.#hashes.pop();
      if (left !== undefined) hash = nodeHash(left, hash);
    }
    this.#hashes.push(hash);
    this.#size++;
  }

  /** The root of all leaves so far (RFC 6962 §2.1). */
  root(): Hash {
    let root = this.#hashes.at(-1) ?? EMPTY_ROOT;
    for (let i = this.#hashes.length - 2; i >= 0; i--) root = nodeHash(this.#hashes[i] ?? root, root);
    return root;
  }
}
