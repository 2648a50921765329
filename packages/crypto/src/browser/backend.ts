/**
 * Browser backend: WebCrypto for bulk AES and hashing, which every browser has, and noble for what browsers
 * lack or only some have (X-Wing, Ed25519, synchronous hashing).
 */
import type { KemName, KemPublicKey, SigningPublicKey } from '@astis/protocol/formats';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { MLKEM768X25519 } from '@noble/post-quantum/hybrid.js';
import * as noble from '@panva/hpke-noble';
import * as hpke from 'hpke';
import type { Backend } from '../backend.ts';
import { verifyEd25519 } from './ed25519.ts';
import { xwing } from './xwing.ts';

const NO_AAD = new Uint8Array(0);

// WebCrypto's types want memory that isn't shared; nothing here ever is.
type Unshared = Uint8Array<ArrayBuffer>;
const unshared = (bytes: Uint8Array): Unshared =>
  bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);

const suite = (kem: hpke.KEMFactory): hpke.CipherSuite =>
  new hpke.CipherSuite(kem, noble.KDF_HKDF_SHA256, noble.AEAD_AES_256_GCM);

const SUITES: Record<KemName, hpke.CipherSuite> = {
  'X-Wing': suite(xwing),
  X25519: suite(noble.KEM_DHKEM_X25519_HKDF_SHA256),
  'P-256': suite(noble.KEM_DHKEM_P256_HKDF_SHA256),
};

const PUBLIC_OF: Record<KemName, (raw: Uint8Array) => Uint8Array> = {
  'X-Wing': (seed) => MLKEM768X25519.getPublicKey(seed),
  X25519: (raw) => x25519.getPublicKey(raw),
  'P-256': (raw) => p256.getPublicKey(raw, false),
};

export const backend: Backend = {
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  sha256: (bytes) => sha256(bytes),
  sha256Chunk: async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', unshared(bytes))),
  hkdfSha256: (ikm, salt, info, length) => hkdf(sha256, ikm, salt, info, length),
  async aes256gcm(raw) {
    const key = await crypto.subtle.importKey('raw', unshared(raw), 'AES-GCM', false, ['encrypt', 'decrypt']);
    const parameters = (nonce: Uint8Array, aad: Uint8Array) => ({
      name: 'AES-GCM',
      iv: unshared(nonce),
      additionalData: unshared(aad),
      tagLength: 128,
    });
    return {
      seal: async (nonce, plaintext, aad = NO_AAD) =>
        new Uint8Array(await crypto.subtle.encrypt(parameters(nonce, aad), key, unshared(plaintext))),
      async open(nonce, ciphertext, aad = NO_AAD) {
        try {
          return new Uint8Array(
            await crypto.subtle.decrypt(parameters(nonce, aad), key, unshared(ciphertext)),
          );
        } catch {
          return undefined;
        }
      },
    };
  },
  ed25519PublicKey: (seed) => ed25519.getPublicKey(seed) as SigningPublicKey,
  ed25519Signer(seed) {
    const key = seed.slice();
    return (message) => ed25519.sign(message, key);
  },
  ed25519Verify: verifyEd25519,
  hpke: (kem) => SUITES[kem],
  kemPublicKey: (kem, privateKey) => PUBLIC_OF[kem](privateKey) as KemPublicKey,
};
