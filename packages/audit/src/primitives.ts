/** The two primitives of the log for every runtime: SHA-256 and Ed25519 verification from the noble libraries. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';

/** SHA-256 (FIPS 180-4): 32 bytes. */
export const sha256 = (data: Uint8Array): Uint8Array => nobleSha256(data);

/** Whether a 64-byte Ed25519 signature (RFC 8032, pure) holds. False, never an error, on malformed input. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}
