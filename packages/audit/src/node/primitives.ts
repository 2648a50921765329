/** The same two primitives from Node's own cryptography, chosen by the condition `node` of package.json's `imports`. */
import { createPublicKey, hash, verify } from 'node:crypto';
import { toBase64Url } from '@astis/protocol';

/** SHA-256 (FIPS 180-4): 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  // For 65-byte inputs a binary string costs half of what a Buffer does: no external memory is allocated for it.
  const digest = hash('sha256', data, 'binary');
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) out[i] = digest.charCodeAt(i);
  return out;
}

/** Whether a 64-byte Ed25519 signature (RFC 8032, pure) holds. False, never an error, on malformed input. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(publicKey) };
    return verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature);
  } catch {
    return false;
  }
}
