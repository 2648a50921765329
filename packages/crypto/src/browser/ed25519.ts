/** Ed25519 (RFC 8032) of noble, deciding exactly as OpenSSL does. */
import type { SigningPublicKey } from '@astis/protocol/formats';
import { concat, equalBytes } from '@astis/protocol/formats';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';

const { Point } = ed25519;

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of Uint8Array.from(bytes).reverse()) value = (value << 8n) | BigInt(byte);
  return value;
}

/**
 * noble multiplies the equation by the cofactor, as RFC 8032 allows; OpenSSL doesn't. Whoever holds a key could
 * make signatures that only one of them takes, so the stricter equation is checked as well: R = S B - k A.
 */
function holdsWithoutCofactor(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const r = signature.subarray(0, 32);
  const scalar = littleEndian(signature.subarray(32));
  const challenge = Point.Fn.create(littleEndian(sha512(concat(r, publicKey, message))));
  const key = Point.fromBytes(publicKey);
  const expected = Point.BASE.multiplyUnsafe(scalar).subtract(key.multiplyUnsafe(challenge));
  return equalBytes(expected.toBytes(), r);
}

/** False also for keys of small order and encodings that aren't canonical. */
export function verifyEd25519(
  publicKey: SigningPublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    return (
      ed25519.verify(signature, message, publicKey, { zip215: false }) &&
      holdsWithoutCofactor(publicKey, message, signature)
    );
  } catch {
    return false;
  }
}
