/**
 * What a runtime has to offer. `#backend` resolves to src/node (node:crypto) or src/browser (WebCrypto and
 * noble) by the package's import conditions; both give the same bytes for the same input.
 */
import type {
  KemName,
  KemPrivateKey,
  KemPublicKey,
  SigningPrivateKey,
  SigningPublicKey,
} from '@astis/protocol/formats';
import type { CipherSuite } from 'hpke';

/** An AES-256-GCM key (NIST SP 800-38D): 12-byte nonces, 16-byte tags at the ciphertext's end. */
export interface AeadKey {
  seal(nonce: Uint8Array, plaintext: Uint8Array, aad?: Uint8Array): Promise<Uint8Array>;
  /** Undefined when the tag doesn't hold. */
  open(nonce: Uint8Array, ciphertext: Uint8Array, aad?: Uint8Array): Promise<Uint8Array | undefined>;
}

export interface Backend {
  /** From the operating system's generator. */
  randomBytes(length: number): Uint8Array;
  /** FIPS 180-4. For short input. */
  sha256(bytes: Uint8Array): Uint8Array;
  /** The same for a whole chunk, off the main thread where the runtime can. */
  sha256Chunk(bytes: Uint8Array): Promise<Uint8Array>;
  /** HKDF-SHA256 (RFC 5869). */
  hkdfSha256(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array;
  /** Takes a 32-byte key, which may be erased afterwards. */
  aes256gcm(key: Uint8Array): Promise<AeadKey>;
  /** Ed25519 (RFC 8032). Throws on a seed that isn't 32 bytes. */
  ed25519PublicKey(seed: SigningPrivateKey): SigningPublicKey;
  /** A function that signs with this seed; the runtime may keep the key prepared. */
  ed25519Signer(seed: SigningPrivateKey): (message: Uint8Array) => Uint8Array;
  /** False for a signature that doesn't hold and for bytes that are no key. */
  ed25519Verify(publicKey: SigningPublicKey, message: Uint8Array, signature: Uint8Array): boolean;
  /** HPKE (RFC 9180) with HKDF-SHA256 and AES-256-GCM. */
  hpke(kem: KemName): CipherSuite;
  /** The public half of a serialised private key. Throws when the bytes are none. */
  kemPublicKey(kem: KemName, privateKey: KemPrivateKey): KemPublicKey;
}
