/** AES-256-GCM (NIST SP 800-38D) of node:crypto: for HPKE, and for the backend's own keys. */
import type { KeyObject } from 'node:crypto';
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { AEAD } from 'hpke';

const TAG_BYTES = 16;
const OPTIONS = { authTagLength: TAG_BYTES } as const;

export function sealGcm(
  key: KeyObject | Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, OPTIONS);
  cipher.setAAD(aad);
  const out = new Uint8Array(plaintext.length + TAG_BYTES);
  out.set(cipher.update(plaintext));
  // GCM keeps nothing back: final() gives no bytes, it only closes the tag.
  cipher.final();
  out.set(cipher.getAuthTag(), plaintext.length);
  return out;
}

/** Undefined when the tag doesn't hold. */
export function openGcm(
  key: KeyObject | Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
  aad: Uint8Array,
): Uint8Array | undefined {
  const length = ciphertext.length - TAG_BYTES;
  if (length < 0) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, OPTIONS);
  decipher.setAAD(aad);
  decipher.setAuthTag(ciphertext.subarray(length));
  const plaintext = decipher.update(ciphertext.subarray(0, length));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    return undefined;
  }
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
}

export const aes256gcm = (): AEAD => ({
  id: 0x0002,
  type: 'AEAD',
  name: 'AES-256-GCM',
  Nk: 32,
  Nn: 12,
  Nt: TAG_BYTES,
  Seal: async (key, nonce, aad, plaintext) => sealGcm(key, nonce, plaintext, aad),
  async Open(key, nonce, aad, ciphertext) {
    const plaintext = openGcm(key, nonce, ciphertext, aad);
    if (plaintext === undefined) throw new Error('tag');
    return plaintext;
  },
});
