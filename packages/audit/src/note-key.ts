/** Names and ids of the keys of C2SP signed notes, and the text in which a verifier key is handed out. */
import { concat, utf8 } from '@astis/protocol';
import { base64 } from '@scure/base';
import { sha256 } from '#primitives';
import { AuditError } from './errors.ts';

/** What a key signs: note texts, or as a witness a checkpoint together with a time (C2SP tlog-cosignature). */
export type NoteAlgorithm = 'ed25519' | 'cosignature/v1';

const ALGORITHM_BYTES: Readonly<Record<NoteAlgorithm, number>> = { ed25519: 0x01, 'cosignature/v1': 0x04 };

export interface VerifierKey {
  /** Not empty, without Unicode spaces and `+`; a schema-less URL by convention. */
  readonly name: string;
  /** The first four bytes of SHA-256(name || "\n" || algorithm byte || public key), in lower-case hex. */
  readonly keyId: string;
  readonly algorithm: NoteAlgorithm;
  /** 32 bytes (RFC 8032). */
  readonly publicKey: Uint8Array;
}

/** Names of keys, and by our narrower rule origins too. Control characters have no place in a note at all. */
export function isKeyName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
  return name.length <= 255 && name.isWellFormed() && /^[^\p{White_Space}+\u0000-\u001f]+$/u.test(name);
}

export const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** @throws {AuditError} `malformed_key` for a name or a public key that cannot be one. */
export function verifierKey(
  name: string,
  publicKey: Uint8Array,
  algorithm: NoteAlgorithm = 'ed25519',
): VerifierKey {
  if (!isKeyName(name)) throw new AuditError('malformed_key', 'not the name of a key');
  if (publicKey.length !== 32) throw new AuditError('malformed_key', 'an Ed25519 public key has 32 bytes');
  const id = sha256(concat(utf8(`${name}\n`), Uint8Array.of(ALGORITHM_BYTES[algorithm]), publicKey));
  return { name, keyId: hexOf(id.subarray(0, 4)), algorithm, publicKey };
}

/** `name+keyid+base64(algorithm byte || public key)`, as Go's sumdb/note and C2SP write a verifier key. */
export function formatVerifierKey({ name, keyId, algorithm, publicKey }: VerifierKey): string {
  return `${name}+${keyId}+${base64.encode(concat(Uint8Array.of(ALGORITHM_BYTES[algorithm]), publicKey))}`;
}

/** @throws {AuditError} `malformed_key` for everything but what `formatVerifierKey` makes, the key id included. */
export function parseVerifierKey(text: string): VerifierKey {
  // The base64 part may have a plus of its own.
  const [, name = '', encoded = ''] =
    text.length > 512 ? [] : (/^([^+]+)\+[0-9a-f]{8}\+(.+)$/.exec(text) ?? []);
  let bytes: Uint8Array;
  try {
    bytes = base64.decode(encoded);
  } catch {
    throw new AuditError('malformed_key', 'not a verifier key');
  }
  const algorithm = (['ed25519', 'cosignature/v1'] as const).find(
    (each) => ALGORITHM_BYTES[each] === bytes[0],
  );
  if (algorithm === undefined) throw new AuditError('malformed_key', 'not an Ed25519 verifier key');
  const key = verifierKey(name, bytes.subarray(1), algorithm);
  if (formatVerifierKey(key) !== text)
    throw new AuditError('malformed_key', 'the key id is not that of the key');
  return key;
}
