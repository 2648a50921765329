/** Reading C2SP tlog-checkpoints. */
import { base64 } from '@scure/base';
import { AuditError } from '../errors.ts';
import type { Hash } from '../hashes.ts';
import { HASH_BYTES } from '../hashes.ts';
import type { VerifierKey } from '../note-key.ts';
import { isKeyName } from '../note-key.ts';
import type { NoteSigner } from './note.ts';
import { verifyNote } from './note.ts';

/** A log's tree head. Checkpoint and receipt note have the same text; which it is, the signing key says. */
export interface TreeHead {
  /** Identity of the log: `<prefix>/<tenant id>`. */
  readonly origin: string;
  readonly size: number;
  readonly root: Hash;
}

export interface VerifiedTreeHead extends TreeHead {
  readonly signers: readonly NoteSigner[];
}

/**
 * Parses a checkpoint's note text: three lines, and by our narrower rule no extension line.
 *
 * @throws {AuditError} `malformed_checkpoint`.
 */
export function parseCheckpointText(text: string): TreeHead {
  const [origin = '', size = '', encoded = '', last, ...rest] = text.split('\n');
  let root: Uint8Array;
  try {
    root = base64.decode(encoded);
  } catch {
    throw new AuditError('malformed_checkpoint', 'the root is not base64');
  }
  const sane =
    isKeyName(origin) && /^(?:0|[1-9][0-9]{0,15})$/.test(size) && Number.isSafeInteger(Number(size));
  if (!sane || root.length !== HASH_BYTES || last !== '' || rest.length > 0) {
    throw new AuditError('malformed_checkpoint', 'not the origin, size and root of a log');
  }
  return { origin, size: Number(size), root };
}

/**
 * Verifies a checkpoint or a receipt note, depending on the keys given.
 *
 * @throws {AuditError} `malformed_note`, `malformed_checkpoint`, `bad_signature` or `unknown_key`.
 */
export function verifyTreeHead(note: string, trusted: readonly VerifierKey[]): VerifiedTreeHead {
  const { text, signers } = verifyNote(note, trusted);
  return { ...parseCheckpointText(text), signers };
}
