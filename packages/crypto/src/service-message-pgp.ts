/**
 * The OpenPGP message around a payload (RFC 9580): one v6 PKESK, one v2 SEIPD (AES-256, GCM), and in it a one-pass
 * signature, the literal data and the v6 Ed25519 signature. Nothing else is made or taken.
 */
import { toHex } from '@astis/protocol/formats';
import { createMessage, encrypt, enums, readMessage } from 'openpgp';
import { ServiceMessageError } from './service-message-error.ts';
import type { ServiceKey, ServicePeer } from './service-message-keys.ts';
import { STRICT } from './service-message-keys.ts';

/** Of the payload and, with room for what OpenPGP adds, of the message. */
export const MAX_PAYLOAD_BYTES: number = 8 << 20;
export const MAX_MESSAGE_BYTES: number = MAX_PAYLOAD_BYTES + 4096;

const malformed = (why: string): ServiceMessageError => new ServiceMessageError('message_malformed', why);

/** Signs, then encrypts. `now` in milliseconds. @throws ServiceMessageError `message_too_large` */
export async function sealPayload(
  payload: Uint8Array,
  self: ServiceKey,
  peer: ServicePeer,
  now: number,
): Promise<Uint8Array> {
  if (payload.length > MAX_PAYLOAD_BYTES)
    throw new ServiceMessageError(
      'message_too_large',
      `a service message carries ${MAX_PAYLOAD_BYTES} bytes`,
    );
  const date = new Date(now);
  return encrypt({
    message: await createMessage({ binary: payload, date }),
    encryptionKeys: peer.publicKey,
    signingKeys: self.privateKey,
    format: 'binary',
    date,
    config: STRICT,
  });
}

/** What a packet must be: its tag, and the members that fix version and algorithms. */
type Shape = { readonly tag: enums.packet } & Readonly<Record<string, number>>;

const OUTER: readonly Shape[] = [
  {
    tag: enums.packet.publicKeyEncryptedSessionKey,
    version: 6,
    publicKeyVersion: 6,
    publicKeyAlgorithm: enums.publicKey.x25519,
  },
  {
    tag: enums.packet.symEncryptedIntegrityProtectedData,
    version: 2,
    cipherAlgorithm: enums.symmetric.aes256,
    aeadAlgorithm: enums.aead.gcm,
  },
];
const ONE_PASS: Shape = { tag: enums.packet.onePassSignature, version: 6 };
const LITERAL: Shape = { tag: enums.packet.literalData };
const SIGNATURE: Shape = {
  tag: enums.packet.signature,
  version: 6,
  signatureType: enums.signature.binary,
  hashAlgorithm: enums.hash.sha512,
  publicKeyAlgorithm: enums.publicKey.ed25519,
};

/** The library's types leave such members out, so they are read as what they are: unknown. */
const memberOf = (packet: object, name: string): unknown =>
  new Map<string, unknown>(Object.entries(packet)).get(name);

function isShaped(packet: object, { tag, ...members }: Shape): boolean {
  const kind = packet.constructor;
  if (!('tag' in kind) || kind.tag !== tag) return false;
  return Object.entries(members).every(([name, value]) => memberOf(packet, name) === value);
}

function checkShape(packets: readonly object[], shapes: readonly Shape[]): void {
  const fits = packets.length === shapes.length;
  if (!fits || !shapes.every((shape, i) => isShaped(packets[i] ?? {}, shape)))
    throw malformed('an OpenPGP message of another shape than is spoken here');
}

/** Runs the library; what it throws is about the message, and may quote it. */
async function attempt<T>(step: () => Promise<T>, refusal: ServiceMessageError): Promise<T> {
  try {
    return await step();
  } catch {
    throw refusal;
  }
}

/**
 * Decrypts and checks the peer's signature. `latest` (milliseconds) is how far ahead the peer's clock may be.
 * Nothing is decompressed, no passphrase is tried, and nothing is returned before the signature held.
 *
 * @throws ServiceMessageError `message_too_large`, `message_malformed`, `wrong_receiver`, `wrong_sender`,
 * `message_signature_invalid`
 */
export async function openPayload(
  bytes: Uint8Array,
  self: ServiceKey,
  peer: ServicePeer,
  latest: number,
): Promise<Uint8Array> {
  if (bytes.length > MAX_MESSAGE_BYTES)
    throw new ServiceMessageError('message_too_large', `a service message has ${MAX_MESSAGE_BYTES} bytes`);
  const date = new Date(latest);
  const sealed = await attempt(
    () => readMessage({ binaryMessage: bytes, config: STRICT }),
    malformed('not an OpenPGP message'),
  );
  checkShape(sealed.packets, OUTER);
  const fingerprint = memberOf(sealed.packets[0] ?? {}, 'publicKeyFingerprint');
  if (!(fingerprint instanceof Uint8Array) || toHex(fingerprint) !== self.encryptionFingerprint)
    throw new ServiceMessageError('wrong_receiver', 'encrypted to another key');
  const message = await attempt(
    () => sealed.decrypt([self.privateKey], undefined, undefined, date, STRICT),
    malformed('does not decrypt'),
  );
  if (message.getSigningKeyIDs().some((id) => id.toHex() !== peer.signingKeyId))
    throw new ServiceMessageError('wrong_sender', 'signed by another key');
  const results = await attempt(
    () => message.verify([peer.publicKey], date, STRICT),
    malformed('what was encrypted is not a signed message'),
  );
  checkShape(message.packets, [ONE_PASS, LITERAL]);
  const [result] = results;
  if (result === undefined || results.length !== 1) throw malformed('not signed once');
  const { verified, signature } = result;
  checkShape((await attempt(() => signature, malformed('no signature'))).packets, [SIGNATURE]);
  await attempt(
    () => verified,
    new ServiceMessageError('message_signature_invalid', 'the signature does not hold'),
  );
  const payload = message.getLiteralData();
  if (!(payload instanceof Uint8Array) || payload.length > MAX_PAYLOAD_BYTES)
    throw malformed('no payload, or one that is too large');
  return payload;
}
