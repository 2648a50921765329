/** Wrapping a DEK to recipients by HPKE (RFC 9180, base mode), each wrap bound to its {@link WrapContext}. */
import type {
  Address,
  Dek,
  KemName,
  KemPublicKey,
  KeyId,
  WrapBytes,
  WrapContext,
} from '@astis/protocol/formats';
import {
  decodeWrap,
  encodeWrap,
  fromBase64Url,
  kemKeyId,
  utf8,
  WRAP_INFO,
  wrapAad,
} from '@astis/protocol/formats';
import { checkCommitment, DEK_BYTES, erase } from './dek.ts';
import { CryptoError } from './errors.ts';
import type { Unwrapper } from './kem.ts';
import { sealToKem } from './kem.ts';

/** Whom to wrap to, as their certificate says. */
export interface WrapRecipient {
  readonly address: Address;
  readonly kem: KemName;
  readonly kemKey: KemPublicKey;
}

/** What all wraps of an artifact share. */
export type ArtifactContext = Omit<WrapContext, 'address' | 'keyId'>;

export interface AddressedWrap {
  readonly address: Address;
  readonly keyId: KeyId;
  readonly wrap: WrapBytes;
}

const CHALLENGE_INFO = utf8('astis/v1 challenge');

/**
 * Wraps to one recipient. The DEK is checked against the commitment first: what no recipient could open is
 * never made.
 * @throws CryptoError `key_invalid` when the recipient's key is none, `commitment_mismatch`
 */
export async function wrapDek(
  dek: Dek,
  recipient: WrapRecipient,
  artifact: ArtifactContext,
): Promise<AddressedWrap> {
  checkCommitment(dek, artifact.artifactId, artifact.commitment);
  const { address, kem, kemKey } = recipient;
  const keyId = kemKeyId(kem, kemKey);
  const aad = wrapAad({ ...artifact, address, keyId });
  const sealed = await sealToKem(kem, kemKey, dek, WRAP_INFO, aad);
  return { address, keyId, wrap: encodeWrap({ kem, keyId, ...sealed }) };
}

/** One wrap for each recipient, in the order given. @throws as {@link wrapDek} */
export const wrapDekToMany = (
  dek: Dek,
  recipients: readonly WrapRecipient[],
  artifact: ArtifactContext,
): Promise<readonly AddressedWrap[]> =>
  Promise.all(recipients.map((recipient) => wrapDek(dek, recipient, artifact)));

/**
 * Opens a wrap and checks the commitment.
 * @throws ProtocolError when it can't be decoded; CryptoError `recipient_mismatch` (to another key than the
 * context or the unwrapper has), `wrap_open_failed`, `commitment_mismatch`
 */
export async function unwrapDek(bytes: WrapBytes, unwrapper: Unwrapper, context: WrapContext): Promise<Dek> {
  const { kem, keyId, enc, ciphertext } = decodeWrap(bytes);
  if (keyId !== context.keyId || keyId !== unwrapper.keyId || kem !== unwrapper.kem)
    throw new CryptoError('recipient_mismatch', 'the wrap is to another key');
  const plaintext = await unwrapper.open(enc, ciphertext, WRAP_INFO, wrapAad(context));
  if (plaintext?.length !== DEK_BYTES)
    throw new CryptoError('wrap_open_failed', 'the wrap does not open for this key and artifact');
  const dek = plaintext as Dek;
  try {
    checkCommitment(dek, context.artifactId, context.commitment);
  } catch (error) {
    erase(dek);
    throw error;
  }
  return dek;
}

/** An answer sealed to a KEM key: proof of possession at enrolment. */
export interface SealedChallenge {
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** Seals the 32-byte answer: info "astis/v1 challenge", aad the key id. @throws CryptoError `key_invalid` */
export const sealChallenge = (
  kem: KemName,
  kemKey: KemPublicKey,
  answer: Uint8Array,
): Promise<SealedChallenge> =>
  sealToKem(kem, kemKey, answer, CHALLENGE_INFO, fromBase64Url(kemKeyId(kem, kemKey)));

/** Opens the CVS's challenge. @throws CryptoError `wrap_open_failed` */
export async function openChallenge(challenge: SealedChallenge, unwrapper: Unwrapper): Promise<Uint8Array> {
  const aad = fromBase64Url(unwrapper.keyId);
  const answer = await unwrapper.open(challenge.enc, challenge.ciphertext, CHALLENGE_INFO, aad);
  if (answer === undefined)
    throw new CryptoError('wrap_open_failed', 'the challenge does not open for this key');
  return answer;
}
