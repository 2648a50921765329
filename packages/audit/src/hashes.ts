/** The three hashes of the log. With record.ts and event.ts, all that log and verifier have in common. */
import { sha256 } from '#primitives';

/** 32 bytes of SHA-256. */
export type Hash = Uint8Array;

export const HASH_BYTES = 32;

/** `prev` of the first entry. */
export const ZERO_HASH: Hash = new Uint8Array(HASH_BYTES);

/** The root of the tree without leaves: SHA-256 of nothing (RFC 6962 §2.1). */
export const EMPTY_ROOT: Hash = sha256(new Uint8Array(0));

/** Random bytes in front of every event, so that a commitment tells nothing about an event that was redacted. */
export const SALT_BYTES = 32;

/** SHA-256(salt || event): what an entry keeps when its event is redacted. */
export function commitmentOf(salt: Uint8Array, event: Uint8Array): Hash {
  const input = new Uint8Array(salt.length + event.length);
  input.set(salt);
  input.set(event, salt.length);
  return sha256(input);
}

/** SHA-256(0x00 || record) (RFC 6962 §2.1): the leaf of the tree and, as the next entry's `prev`, the link of the chain. */
export function leafHash(record: Uint8Array): Hash {
  const input = new Uint8Array(1 + record.length);
  input.set(record, 1);
  return sha256(input);
}

// One buffer for all nodes: nothing else runs between filling and hashing it.
const nodeInput = new Uint8Array(1 + 2 * HASH_BYTES);
nodeInput[0] = 1;

/** SHA-256(0x01 || left || right) (RFC 6962 §2.1). */
export function nodeHash(left: Hash, right: Hash): Hash {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}
