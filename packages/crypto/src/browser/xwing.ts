/** X-Wing of noble, with the check of public keys that FIPS 203 asks of every encapsulator. */
import * as noble from '@panva/hpke-noble';
import type { KEM } from 'hpke';

const MODULUS = 3329;
/** ML-KEM-768: three polynomials of 256 coefficients, 12 bits each, little-endian. */
const COEFFICIENT_BYTES = 1152;

/** The modulus check of FIPS 203 section 7.2: no coefficient may be 3329 or more. */
function isReduced(publicKey: Uint8Array): boolean {
  for (let at = 0; at < COEFFICIENT_BYTES; at += 3) {
    const middle = publicKey[at + 1] ?? 0;
    const low = (publicKey[at] ?? 0) | ((middle & 15) << 8);
    const high = (middle >> 4) | ((publicKey[at + 2] ?? 0) << 4);
    if (low >= MODULUS || high >= MODULUS) return false;
  }
  return true;
}

export function xwing(): KEM {
  const kem = noble.KEM_MLKEM768_X25519();
  return {
    ...kem,
    async DeserializePublicKey(raw) {
      if (!isReduced(raw)) throw new TypeError('not an ML-KEM-768 public key');
      return kem.DeserializePublicKey(raw);
    },
  };
}
