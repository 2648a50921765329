/** KEM keys: serialised pairs, and the handle that opens what was sealed to one. */

import type { KemName, KemPrivateKey, KemPublicKey, KeyId } from '@astis/protocol';
import { KEMS, kemKeyId } from '@astis/protocol';
import { backend } from '#backend';
import { CryptoError } from './errors.ts';

/** A key pair in its serialised form, to be stored. X-Wing's private key is its 32-byte seed. */
export interface KemKeyPair {
  readonly kem: KemName;
  readonly keyId: KeyId;
  readonly publicKey: KemPublicKey;
  readonly privateKey: KemPrivateKey;
}

/** A private KEM key, wherever it lives, prepared for opening many wraps. */
export interface Unwrapper {
  readonly kem: KemName;
  readonly keyId: KeyId;
  readonly publicKey: KemPublicKey;
  /** HPKE Open (RFC 9180 §6.1, base mode). Undefined when it doesn't open. */
  open(
    enc: Uint8Array,
    ciphertext: Uint8Array,
    info: Uint8Array,
    aad: Uint8Array,
  ): Promise<Uint8Array | undefined>;
}

export async function newKemKeyPair(kem: KemName): Promise<KemKeyPair> {
  const suite = backend.hpke(kem);
  const pair = await suite.GenerateKeyPair(true);
  const publicKey = (await suite.SerializePublicKey(pair.publicKey)) as KemPublicKey;
  const privateKey = (await suite.SerializePrivateKey(pair.privateKey)) as KemPrivateKey;
  return { kem, keyId: kemKeyId(kem, publicKey), publicKey, privateKey };
}

/**
 * Prepares a serialised private key. The public half is worked out again from it, so that a wrong one can't
 * be slipped in beside it. The bytes given may be erased afterwards.
 * @throws CryptoError `key_invalid`
 */
export async function localUnwrapper(kem: KemName, privateKey: KemPrivateKey): Promise<Unwrapper> {
  throw new CryptoError('key_invalid', `not implemented yet ${kem} ${privateKey.length} ${KEMS[kem].id}`);
}
