/** HKDF-SHA256 (RFC 5869) over node:crypto's HMAC, as the `hpke` package wants it: extract and expand apart. */
import { createHmac } from 'node:crypto';
import type { KDF } from 'hpke';
import { I2OSP } from 'hpke';

const HASH_BYTES = 32;

const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
};

export const hkdfSha256 = (): KDF => ({
  id: 0x0001,
  type: 'KDF',
  name: 'HKDF-SHA256',
  Nh: HASH_BYTES,
  stages: 2,
  Extract: async (salt, ikm) => hmac(salt, ikm),
  async Expand(prk, info, length) {
    const out = new Uint8Array(length);
    let block: Uint8Array = new Uint8Array(0);
    for (let at = 0, i = 1; at < length; at += HASH_BYTES, i++) {
      block = hmac(prk, block, info, I2OSP(i, 1));
      out.set(block.subarray(0, length - at), at);
    }
    return out;
  },
  Derive: () => Promise.reject(new Error('HKDF has two stages')),
});
