/**
 * Text encodings of bytes. base64url without padding (RFC 4648 §5) is the only one on the wire;
 * decoding is strict: foreign characters, padding and non-zero trailing bits are refused.
 */
import { base64urlnopad, hex } from '@scure/base';
import { ProtocolError } from './errors.ts';

export const toBase64Url = (bytes: Uint8Array): string => base64urlnopad.encode(bytes);

export function fromBase64Url(text: string): Uint8Array {
  try {
    return base64urlnopad.decode(text);
  } catch {
    throw new ProtocolError('malformed_encoding', 'not canonical base64url without padding');
  }
}

export const toHex = (bytes: Uint8Array): string => hex.encode(bytes);

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Compares public values. Secrets are never compared here: AEADs, signatures and HMACs do that. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** Lexicographic order of unsigned bytes; shorter first where one is a prefix of the other. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
