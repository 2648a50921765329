/** Writing tree heads and signing them as C2SP signed notes. */
import type { TenantId } from '@astis/protocol';
import { concat, utf8 } from '@astis/protocol';
import { base64 } from '@scure/base';
import { AuditError } from '../errors.ts';
import type { Hash } from '../hashes.ts';
import { HASH_BYTES } from '../hashes.ts';
import { isKeyName, verifierKey } from '../note-key.ts';

/** Identity of a tenant's log: the deployment's prefix (a schema-less URL such as `astis.example/log`) and the tenant. */
export function logOrigin(prefix: string, tenant: TenantId): string {
  const origin = `${prefix}/${tenant}`;
  if (!isKeyName(origin))
    throw new AuditError('malformed_checkpoint', 'not a prefix for the origin of a log');
  return origin;
}

/** The text of a tlog-checkpoint, and of a receipt note: three lines. */
export function checkpointText(origin: string, size: number, root: Hash): string {
  if (!isKeyName(origin) || !Number.isSafeInteger(size) || size < 0 || root.length !== HASH_BYTES) {
    throw new AuditError('malformed_checkpoint', 'not the origin, size and root of a log');
  }
  return `${origin}\n${size}\n${base64.encode(root)}\n`;
}

/** A private Ed25519 key, wherever it lives. `sign` gives the 64 bytes over the message (RFC 8032, pure). */
export interface NoteSigningKey {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** The line that a signature over `text` adds to a note. For keys that sign asynchronously. */
export function signatureLine(name: string, publicKey: Uint8Array, signature: Uint8Array): string {
  const { keyId } = verifierKey(name, publicKey);
  if (signature.length !== 64) throw new AuditError('bad_signature', 'an Ed25519 signature has 64 bytes');
  const id = Uint8Array.from(keyId.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return `\u2014 ${name} ${base64.encode(concat(id, signature))}\n`;
}

/** A note of a text, which ends in a newline, and at least one line of `signatureLine` or a witness. */
export function formatNote(text: string, signatureLines: readonly string[]): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
  const bad = !text.endsWith('\n') || !text.isWellFormed() || /[\u0000-\u0009\u000b-\u001f]/.test(text);
  if (bad || signatureLines.length === 0) throw new AuditError('malformed_note', 'not the text of a note');
  return `${text}\n${signatureLines.join('')}`;
}

/** Signs a text by one or more keys. */
export function signNote(text: string, keys: readonly NoteSigningKey[]): string {
  const message = utf8(text);
  return formatNote(
    text,
    keys.map(({ name, publicKey, sign }) => signatureLine(name, publicKey, sign(message))),
  );
}
