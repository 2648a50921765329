/** KEM keys: serialised pairs, and the handle that opens what was sealed to one. */

import type { KemName, KemPrivateKey, KemPublicKey, KeyId } from '@astis/protocol/formats';
import { KEMS, kemKeyId } from '@astis/protocol/formats';
import { DecapError, DeserializeError, EncapError, OpenError } from 'hpke';
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

function checkLength(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length) throw new CryptoError('key_invalid', `${what} has ${length} bytes`);
}

/**
 * The pair of a stored private key. The public half is worked out again from it, so that a wrong one can't be
 * slipped in beside it. @throws CryptoError `key_invalid`
 */
export function kemKeyPair(kem: KemName, privateKey: KemPrivateKey): KemKeyPair {
  checkLength(privateKey, KEMS[kem].privateKeyBytes, `a private ${kem} key`);
  try {
    const publicKey = backend.kemPublicKey(kem, privateKey);
    return { kem, keyId: kemKeyId(kem, publicKey), publicKey, privateKey };
  } catch {
    throw new CryptoError('key_invalid', `not a private ${kem} key`);
  }
}

/**
 * Prepares a stored private key for opening. The bytes given may be erased afterwards.
 * @throws CryptoError `key_invalid`
 */
export async function localUnwrapper(kem: KemName, privateKey: KemPrivateKey): Promise<Unwrapper> {
  const { keyId, publicKey } = kemKeyPair(kem, privateKey);
  const suite = backend.hpke(kem);
  // The public key goes along because the KEMs hash it: HPKE implementations would work it out every time.
  const pair = {
    privateKey: await suite.DeserializePrivateKey(privateKey),
    publicKey: await suite.DeserializePublicKey(publicKey),
  };
  return {
    kem,
    keyId,
    publicKey,
    async open(enc, ciphertext, info, aad) {
      try {
        return await suite.Open(pair, enc, ciphertext, { info, aad });
      } catch (error) {
        if (error instanceof OpenError || error instanceof DecapError) return undefined;
        throw error;
      }
    },
  };
}

/** HPKE Seal (RFC 9180 §6.1, base mode). @throws CryptoError `key_invalid` */
export async function sealToKem(
  kem: KemName,
  publicKey: KemPublicKey,
  plaintext: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
): Promise<{ readonly enc: Uint8Array; readonly ciphertext: Uint8Array }> {
  checkLength(publicKey, KEMS[kem].publicKeyBytes, `a public ${kem} key`);
  const suite = backend.hpke(kem);
  try {
    const key = await suite.DeserializePublicKey(publicKey);
    const { encapsulatedSecret, ciphertext } = await suite.Seal(key, plaintext, { info, aad });
    return { enc: encapsulatedSecret, ciphertext };
  } catch (error) {
    // A low-order point shows at encapsulation only.
    if (error instanceof DeserializeError || error instanceof EncapError)
      throw new CryptoError('key_invalid', `not a public ${kem} key`);
    throw error;
  }
}
