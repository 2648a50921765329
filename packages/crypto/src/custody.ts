/**
 * `@astis/crypto/custody`: what only the CVS may import, because it uses private organisation and holding keys.
 * A lint rule keeps every other workspace out.
 */
import type { KeyId, TenantId, WrapBytes, WrapContext } from '@astis/protocol/formats';
import { concat, encodeCbor, fromBase64Url, uuidBytes } from '@astis/protocol/formats';
import { backend } from '#backend';
import { erase } from './dek.ts';
import { CryptoError } from './errors.ts';
import type { Unwrapper } from './kem.ts';
import type { AddressedWrap, WrapRecipient } from './wraps.ts';
import { unwrapDek, wrapDek } from './wraps.ts';

export type { SealedChallenge } from './wraps.ts';
export { sealChallenge } from './wraps.ts';

export type KeyPurpose = 'organisation' | 'holding' | 'identity' | 'checkpoint' | 'service';

/** What a sealed private key is bound to (AAD). */
export interface SealedKeyContext {
  readonly tenantId: TenantId;
  readonly keyId: KeyId;
  readonly purpose: KeyPurpose;
}

/** The root key that every private key of the CVS is sealed under. It can't be read out. */
export interface RootKek {
  /** Version byte 1, 12-byte nonce, AES-256-GCM ciphertext. The private key given is NOT erased. */
  sealKey(privateKey: Uint8Array, context: SealedKeyContext): Promise<Uint8Array>;
  /** The private key; erase it when done. @throws CryptoError `sealed_key_open_failed` */
  unsealKey(sealed: Uint8Array, context: SealedKeyContext): Promise<Uint8Array>;
}

const VERSION = 1;
const NONCE_BYTES = 12;
const AAD_LABEL = 'astis/v1 sealed key';

const aadOf = ({ tenantId, keyId, purpose }: SealedKeyContext): Uint8Array =>
  encodeCbor([AAD_LABEL, uuidBytes(tenantId), fromBase64Url(keyId), purpose]);

/** Takes the 32-byte root KEK, which may be erased afterwards. @throws CryptoError `key_invalid` */
export async function rootKek(key: Uint8Array): Promise<RootKek> {
  if (key.length !== 32) throw new CryptoError('key_invalid', 'a root key has 32 bytes');
  const aead = await backend.aes256gcm(key);
  return {
    async sealKey(privateKey, context) {
      // Random nonces: under one root key 2^32 sealings keep the chance of a repeat below 2^-32 (SP 800-38D).
      const nonce = backend.randomBytes(NONCE_BYTES);
      const ciphertext = await aead.seal(nonce, privateKey, aadOf(context));
      return concat(Uint8Array.of(VERSION), nonce, ciphertext);
    },
    async unsealKey(sealed, context) {
      const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
      const privateKey =
        sealed[0] === VERSION && nonce.length === NONCE_BYTES
          ? await aead.open(nonce, sealed.subarray(1 + NONCE_BYTES), aadOf(context))
          : undefined;
      if (privateKey === undefined)
        throw new CryptoError('sealed_key_open_failed', 'the sealed key does not open under this root key');
      return privateKey;
    },
  };
}

/**
 * Unwraps, checks the commitment, wraps anew, and erases the DEK. Check the capsule first
 * (`verifyCapsule` gives `from`), and that `to` is certified.
 * @throws ProtocolError; CryptoError as unwrapDek and wrapDek
 */
export async function rewrapDek(
  unwrapper: Unwrapper,
  wrap: WrapBytes,
  from: WrapContext,
  to: WrapRecipient,
): Promise<AddressedWrap> {
  const dek = await unwrapDek(wrap, unwrapper, from);
  try {
    const { artifactId, headerHash, commitment, tenantId } = from;
    return await wrapDek(dek, to, { artifactId, headerHash, commitment, tenantId });
  } finally {
    erase(dek);
  }
}

/** A fresh 32-byte answer for {@link sealChallenge}. */
export const newChallengeAnswer = (): Uint8Array => backend.randomBytes(32);
