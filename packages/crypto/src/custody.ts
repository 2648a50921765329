/**
 * `@astis/crypto/custody`: what only the CVS may import, because it uses private organisation and holding keys.
 * A lint rule keeps every other workspace out.
 */
import type { KemName, KemPublicKey, KeyId, TenantId, WrapBytes, WrapContext } from '@astis/protocol';
import { CryptoError } from './errors.ts';
import type { Unwrapper } from './kem.ts';
import type { AddressedWrap, ArtifactContext, WrapRecipient } from './wraps.ts';

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

/** Takes the 32-byte root KEK, which may be erased afterwards. @throws CryptoError `key_invalid` */
export async function rootKek(key: Uint8Array): Promise<RootKek> {
  throw new CryptoError('key_invalid', `not implemented yet ${key.length}`);
}

/**
 * Unwraps, checks the commitment, wraps anew, and erases the DEK. Check the capsule first
 * (`verifyCapsule` gives `from`), and that `to` is certified.
 * @throws CryptoError as unwrapDek and wrapDek
 */
export async function rewrapDek(
  unwrapper: Unwrapper,
  wrap: WrapBytes,
  from: WrapContext,
  to: WrapRecipient,
): Promise<AddressedWrap> {
  const artifact: ArtifactContext = from;
  throw new CryptoError('key_invalid', `not implemented yet ${unwrapper} ${wrap} ${artifact} ${to}`);
}

/** Seals a 32-byte answer to a KEM key that is to be registered (proof of possession). */
export async function sealChallenge(
  kem: KemName,
  kemKey: KemPublicKey,
  answer: Uint8Array,
): Promise<{ readonly enc: Uint8Array; readonly ciphertext: Uint8Array }> {
  throw new CryptoError('key_invalid', `not implemented yet ${kem} ${kemKey} ${answer}`);
}
