/**
 * Recipients' keys. A certificate counts only under the pinned identity key, and an address whose key differs from the
 * one that was seen before is refused until somebody has looked at it.
 */
import { signObject, verifyCertificate } from '@astis/crypto';
import type { Address, KemName, KemPublicKey, KeyId, SubjectKind } from '@astis/protocol';
import {
  DirectoryAnswer,
  encodeCustodyOrder,
  fromBase64Url,
  HoldingKey,
  kemKeyId,
  ORGANISATION,
  toBase64Url,
} from '@astis/protocol';
import type { Client } from './client.ts';
import { SdkError } from './errors.ts';

export interface RecipientKey {
  readonly address: Address;
  readonly kind: SubjectKind;
  readonly kem: KemName;
  readonly kemKey: KemPublicKey;
  readonly keyId: KeyId;
}

/** Keys seen before, by address. */
export interface Pins {
  get(address: Address): KeyId | undefined;
  set(address: Address, keyId: KeyId): void;
}

/** A custody order for the CVS, signed by us. */
export async function custodyOrder(
  client: Client,
  action: Parameters<typeof encodeCustodyOrder>[0]['action'],
  subject: string,
): Promise<string> {
  const { signer, tenant } = client.identity;
  const payload = encodeCustodyOrder({
    tenantId: tenant.tenantId,
    action,
    subject,
    nonce: crypto.getRandomValues(new Uint8Array(16)),
    at: Math.floor(Date.now() / 1000),
  });
  return toBase64Url(await signObject('astis/custody-order', payload, signer));
}

function recipientOf(client: Client, certificate: string): RecipientKey {
  const { tenantId, identityKey } = client.identity.tenant;
  const { address, kind, kem, kemKey } = verifyCertificate(fromBase64Url(certificate), identityKey, tenantId);
  return { address, kind, kem, kemKey, keyId: kemKeyId(kem, kemKey) };
}

/**
 * The change that needs no second look: the organisation rotates its own key. A person's key that gives way to a
 * holding key is none of it, since a server could answer with one so that the organisation reads along.
 */
const isExpectedChange = (key: RecipientKey): boolean =>
  key.kind === 'organisation' && key.address === ORGANISATION;

/**
 * Certified keys of all addresses, holding keys for those that have none.
 *
 * @param acceptNewKeys addresses whose changed key was looked at and found right
 * @throws {SdkError} `recipient_key_changed`, `recipient_unknown`, `answer_untrusted`; CryptoError `certificate_invalid`
 */
export async function lookUp(
  client: Client,
  addresses: readonly Address[],
  pins: Pins,
  acceptNewKeys: ReadonlySet<Address> = new Set(),
): Promise<readonly RecipientKey[]> {
  const answer = await client.write('POST', '/v1/directory/lookup', { addresses }, DirectoryAnswer);
  const found = new Map(
    answer.certificates.map((certificate) => {
      const key = recipientOf(client, certificate);
      return [key.address, key];
    }),
  );
  for (const address of addresses) {
    if (found.has(address)) continue;
    if (address === ORGANISATION)
      throw new SdkError('recipient_unknown', 'The organisation has no recovery key.');
    const order = await custodyOrder(client, 'holding-key', address);
    const { certificate } = await client.write('POST', '/v1/holding-keys', { order }, HoldingKey);
    found.set(address, recipientOf(client, certificate));
  }
  return addresses.map((address) => {
    const key = found.get(address);
    if (key?.address !== address)
      throw new SdkError('answer_untrusted', `The directory has no key for ${address}.`);
    const pinned = pins.get(address);
    if (
      pinned !== undefined &&
      pinned !== key.keyId &&
      !acceptNewKeys.has(address) &&
      !isExpectedChange(key)
    ) {
      throw new SdkError(
        'recipient_key_changed',
        `${address} has another key than before: ${pinned} is now ${key.keyId}. Ask them whether that is right, then accept it.`,
      );
    }
    // Holding keys are not pinned: the person's own key is meant to follow.
    if (key.kind !== 'holding') pins.set(address, key.keyId);
    return key;
  });
}
