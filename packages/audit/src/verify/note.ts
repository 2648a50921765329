/** Reading C2SP signed notes: strict parsing, and verification against trusted keys. */
import { concat, utf8 } from '@astis/protocol';
import { base64 } from '@scure/base';
import { verifyEd25519 } from '#primitives';
import { AuditError } from '../errors.ts';
import type { VerifierKey } from '../note-key.ts';
import { hexOf, isKeyName } from '../note-key.ts';

export interface NoteSignature {
  readonly name: string;
  /** Four bytes in lower-case hex. */
  readonly keyId: string;
  /** What follows the key id. */
  readonly signature: Uint8Array;
}

export interface Note {
  /** The signed text, its last newline included. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A key whose signature on the note holds; `time` (seconds since the epoch) only for a witness's cosignature. */
export interface NoteSigner {
  readonly key: VerifierKey;
  readonly time?: number;
}

export interface VerifiedNote {
  readonly text: string;
  /** At least one, each key once. */
  readonly signers: readonly NoteSigner[];
}

const MAX_NOTE_LENGTH = 1 << 20;
/** C2SP asks for 16 at least; Go's sumdb/note allows as many as this. */
const MAX_SIGNATURES = 100;

const malformed = (why: string): AuditError => new AuditError('malformed_note', why);

function parseSignature(line: string): NoteSignature {
  const [dash, name, encoded, ...rest] = line.split(' ');
  if (
    dash !== '\u2014' ||
    name === undefined ||
    encoded === undefined ||
    rest.length > 0 ||
    !isKeyName(name)
  ) {
    throw malformed('not a signature line');
  }
  let bytes: Uint8Array;
  try {
    bytes = base64.decode(encoded);
  } catch {
    throw malformed('a signature is not base64');
  }
  if (bytes.length < 5) throw malformed('a signature is too short');
  return { name, keyId: hexOf(bytes.subarray(0, 4)), signature: bytes.subarray(4) };
}

/** @throws {AuditError} `malformed_note`. Checks no signature: until then the text means nothing. */
export function parseNote(note: string): Note {
  if (note.length > MAX_NOTE_LENGTH) throw malformed('note too long');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
  if (!note.isWellFormed() || /[\u0000-\u0009\u000b-\u001f]/.test(note)) {
    throw malformed('a note is UTF-8 without control characters');
  }
  const blank = note.lastIndexOf('\n\n');
  const block = note.slice(blank + 2);
  if (blank < 0 || !block.endsWith('\n'))
    throw malformed('a note has a text, a blank line and signature lines');
  const lines = block.slice(0, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw malformed('too many signatures');
  return { text: note.slice(0, blank + 1), signatures: lines.map(parseSignature) };
}

/** Whether a signature with the key's name and id holds, and since when for a cosignature. */
function check(key: VerifierKey, text: string, signature: Uint8Array): NoteSigner | undefined {
  if (key.algorithm === 'ed25519') {
    return verifyEd25519(key.publicKey, utf8(text), signature) ? { key } : undefined;
  }
  // C2SP tlog-cosignature: a big-endian uint64 of seconds, then the Ed25519 signature over time and text.
  if (signature.length !== 72) return undefined;
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const message = concat(utf8(`cosignature/v1\ntime ${time}\n`), utf8(text));
  return verifyEd25519(key.publicKey, message, signature.subarray(8))
    ? { key, time: Number(time) }
    : undefined;
}

/**
 * Verifies a note. Signatures by other keys are ignored, as C2SP requires; a signature under the name and id of a
 * trusted key that doesn't hold refuses the whole note.
 *
 * @throws {AuditError} `malformed_note`, `bad_signature`, or `unknown_key` when no trusted key has signed.
 */
export function verifyNote(note: string, trusted: readonly VerifierKey[]): VerifiedNote {
  const { text, signatures } = parseNote(note);
  const signers = new Map<VerifierKey, NoteSigner>();
  for (const { name, keyId, signature } of signatures) {
    const candidates = trusted.filter((key) => key.name === name && key.keyId === keyId);
    if (candidates.length === 0) continue;
    const signer = candidates.map((key) => check(key, text, signature)).find((found) => found !== undefined);
    if (signer === undefined) throw new AuditError('bad_signature', `the signature of ${name} does not hold`);
    if (!signers.has(signer.key)) signers.set(signer.key, signer);
  }
  if (signers.size === 0) throw new AuditError('unknown_key', 'the note has no signature by a trusted key');
  return { text, signers: [...signers.values()] };
}
