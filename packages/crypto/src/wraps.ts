/** Wrapping a DEK to recipients by HPKE (RFC 9180, base mode), each wrap bound to its {@link WrapContext}. */
import type {
  Address,
  Dek,
  KemName,
  KemPublicKey,
  KeyId,
  Wrap,
  WrapBytes,
  WrapContext,
} from '@astis/protocol';
import { CryptoError } from './errors.ts';
import type { Unwrapper } from './kem.ts';

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

const todo = (): never => {
  throw new CryptoError('key_invalid', 'not implemented yet');
};

/** @throws CryptoError `key_invalid` when the recipient's key is none, `commitment_mismatch` */
export async function wrapDek(
  dek: Dek,
  recipient: WrapRecipient,
  artifact: ArtifactContext,
): Promise<AddressedWrap> {
  return todo() ?? [dek, recipient, artifact];
}

/** One wrap for each recipient, in the order given. */
export async function wrapDekToMany(
  dek: Dek,
  recipients: readonly WrapRecipient[],
  artifact: ArtifactContext,
): Promise<readonly AddressedWrap[]> {
  return todo() ?? [dek, recipients, artifact];
}

/**
 * Opens a wrap and checks the commitment.
 * @throws ProtocolError when it can't be decoded; CryptoError `recipient_mismatch` (to another key than the
 * context or the unwrapper has), `wrap_open_failed`, `commitment_mismatch`
 */
export async function unwrapDek(
  wrap: WrapBytes | Wrap,
  unwrapper: Unwrapper,
  context: WrapContext,
): Promise<Dek> {
  return todo() ?? [wrap, unwrapper, context];
}

/** Opens the CVS's challenge (proof of possession at enrolment): info "astis/v1 challenge", aad the key id. */
export async function openChallenge(
  challenge: { readonly enc: Uint8Array; readonly ciphertext: Uint8Array },
  unwrapper: Unwrapper,
): Promise<Uint8Array> {
  return todo() ?? [challenge, unwrapper];
}
