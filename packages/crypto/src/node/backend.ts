/** node:crypto backend. Everything is native; prepared key objects are kept where keys come again and again. */
import type { KeyObject } from 'node:crypto';
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hash,
  hkdfSync,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import type { KemName, KemPublicKey, SigningPrivateKey, SigningPublicKey } from '@astis/protocol/formats';
import { toBase64Url } from '@astis/protocol/formats';
import { CipherSuite } from 'hpke';
import type { AeadKey, Backend } from '../backend.ts';
import { derOf, ED25519_DER } from './der.ts';
import { aes256gcm as gcm, openGcm, sealGcm } from './hpke/aead.ts';
import { dhkemP256, dhkemX25519 } from './hpke/dhkem.ts';
import { hkdfSha256 } from './hpke/kdf.ts';
import { p256FromPrivate } from './hpke/p256.ts';
import { x25519FromPrivate } from './hpke/x25519.ts';
import { xwing, xwingFromSeed, xwingPublicBytes } from './hpke/xwing.ts';

const NO_AAD = new Uint8Array(0);

/** A plain Uint8Array over the same memory: callers must not come to depend on Buffer. */
const plain = (bytes: Buffer): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const sha256 = (bytes: Uint8Array): Uint8Array => plain(hash('sha256', bytes, 'buffer'));

function privateKeyOf(seed: SigningPrivateKey): KeyObject {
  const der = derOf(ED25519_DER.pkcs8, seed);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

// Public keys only, so keeping them leaks nothing. Oldest first; a hit moves to the end.
const MAX_PREPARED = 4096;
const prepared = new Map<string, KeyObject>();

function publicKeyOf(raw: SigningPublicKey): KeyObject | undefined {
  if (raw.length !== 32) return undefined;
  const name = toBase64Url(raw);
  let key = prepared.get(name);
  if (key === undefined) {
    key = createPublicKey({ key: derOf(ED25519_DER.spki, raw), format: 'der', type: 'spki' });
  } else {
    prepared.delete(name);
  }
  prepared.set(name, key);
  if (prepared.size > MAX_PREPARED) {
    const [oldest] = prepared.keys();
    if (oldest !== undefined) prepared.delete(oldest);
  }
  return key;
}

function aes256gcm(key: Uint8Array): AeadKey {
  const secret = createSecretKey(key);
  return {
    seal: async (nonce, plaintext, aad = NO_AAD) => sealGcm(secret, nonce, plaintext, aad),
    open: async (nonce, ciphertext, aad = NO_AAD) => openGcm(secret, nonce, ciphertext, aad),
  };
}

const SUITES: Record<KemName, CipherSuite> = {
  'X-Wing': new CipherSuite(xwing, hkdfSha256, gcm),
  X25519: new CipherSuite(dhkemX25519, hkdfSha256, gcm),
  'P-256': new CipherSuite(dhkemP256, hkdfSha256, gcm),
};

const PUBLIC_OF: Record<KemName, (raw: Uint8Array) => Uint8Array> = {
  'X-Wing': (seed) => xwingPublicBytes(xwingFromSeed(seed)),
  X25519: (raw) => x25519FromPrivate(raw).publicBytes,
  'P-256': (raw) => p256FromPrivate(raw).publicBytes,
};

export const backend: Backend = {
  randomBytes: (length) => plain(randomBytes(length)),
  sha256,
  sha256Chunk: async (bytes) => sha256(bytes),
  hkdfSha256: (ikm, salt, info, length) => new Uint8Array(hkdfSync('sha256', ikm, salt, info, length)),
  aes256gcm: async (key) => aes256gcm(key),
  ed25519PublicKey(seed) {
    const spki = createPublicKey(privateKeyOf(seed)).export({ format: 'der', type: 'spki' });
    return plain(spki.subarray(ED25519_DER.spki.length)) as SigningPublicKey;
  },
  ed25519Signer(seed) {
    const key = privateKeyOf(seed);
    return (message) => plain(sign(null, message, key));
  },
  ed25519Verify(publicKey, message, signature) {
    const key = publicKeyOf(publicKey);
    return key !== undefined && signature.length === 64 && verify(null, message, key, signature);
  },
  hpke: (kem) => SUITES[kem],
  kemPublicKey: (kem, privateKey) => PUBLIC_OF[kem](privateKey) as KemPublicKey,
};
