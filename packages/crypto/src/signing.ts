/** Signing and checking COSE_Sign1 objects (RFC 9052) with Ed25519 (RFC 8032). */

import type { KeyId, Signed, SignedType, SigningPrivateKey, SigningPublicKey } from '@astis/protocol/formats';
import { decodeSign1, encodeSign1, signingKeyId, toBeSigned } from '@astis/protocol/formats';
import { backend } from '#backend';
import { CryptoError } from './errors.ts';

/** A signing key, wherever it lives: in this process, a key service or a token. */
export interface Signer {
  readonly keyId: KeyId;
  readonly publicKey: SigningPublicKey;
  /** A 64-byte Ed25519 signature over exactly these bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

export const SIGNING_KEY_BYTES = 32;

export const newSigningKey = (): SigningPrivateKey =>
  backend.randomBytes(SIGNING_KEY_BYTES) as SigningPrivateKey;

/** The public key of a 32-byte seed. @throws CryptoError `key_invalid` */
export function signingPublicKey(seed: SigningPrivateKey): SigningPublicKey {
  if (seed.length !== SIGNING_KEY_BYTES)
    throw new CryptoError('key_invalid', 'an Ed25519 private key has 32 bytes');
  return backend.ed25519PublicKey(seed);
}

/** A signer whose seed is in this process. @throws CryptoError `key_invalid` */
export function localSigner(seed: SigningPrivateKey): Signer {
  const publicKey = signingPublicKey(seed);
  const sign = backend.ed25519Signer(seed);
  return { publicKey, keyId: signingKeyId(publicKey), sign: (bytes) => Promise.resolve(sign(bytes)) };
}

/** Signs a payload as an object of this type. */
export async function signObject<T extends SignedType>(
  type: T,
  payload: Uint8Array,
  signer: Signer,
): Promise<Signed<T>> {
  const signature = await signer.sign(toBeSigned(type, signer.keyId, payload));
  return encodeSign1({ type, keyId: signer.keyId, payload, signature });
}

/**
 * Checks an object of this type under this key and returns its payload.
 * @throws ProtocolError when it can't be decoded; CryptoError `signature_invalid` when it is another key's or
 * doesn't hold
 */
export function verifyObject<T extends SignedType>(
  bytes: Signed<T> | Uint8Array,
  type: T,
  publicKey: SigningPublicKey,
): Uint8Array {
  const { keyId, payload, signature } = decodeSign1(bytes, type);
  verifyRaw(type, keyId, payload, signature, publicKey);
  return payload;
}

/** Checks a signature that stands apart from its payload. @throws CryptoError `signature_invalid` */
export function verifyRaw(
  type: SignedType,
  keyId: KeyId,
  payload: Uint8Array,
  signature: Uint8Array,
  publicKey: SigningPublicKey,
): void {
  if (keyId !== signingKeyId(publicKey))
    throw new CryptoError('signature_invalid', `${type}: signed by another key`);
  if (!backend.ed25519Verify(publicKey, toBeSigned(type, keyId, payload), signature))
    throw new CryptoError('signature_invalid', `${type}: the signature does not hold`);
}
