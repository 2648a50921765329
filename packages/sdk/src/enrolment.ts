/**
 * Enrolment codes and enrolling with them. A code is what one person hands to another outside of ASTIS: it has a
 * one-time secret, which the gateway never sees, and the organisation's identity key, which is pinned from it.
 */
import type { KemKeyPair, Signer } from '@astis/crypto';
import {
  localSigner,
  localUnwrapper,
  newKemKeyPair,
  newSigningKey,
  openChallenge,
  signEnrolment,
  verifyCertificate,
} from '@astis/crypto';
import type {
  Address,
  KemName,
  KemPrivateKey,
  PersonId,
  SigningPrivateKey,
  SigningPublicKey,
  TenantId,
} from '@astis/protocol';
import {
  Challenge,
  concat,
  DEFAULT_KEM,
  decodeCbor,
  Enrolled,
  encodeCbor,
  fromBase64Url,
  ProtocolError,
  parseAddress,
  parsePersonId,
  parseTenantId,
  toBase64Url,
  utf8,
  uuidBytes,
  uuidText,
} from '@astis/protocol';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Transport } from './client.ts';
import { postOpenly } from './client.ts';
import { SdkError } from './errors.ts';
import type { PinnedTenant } from './identity.ts';

const PREFIX = 'astis-enrol-';
const VERSION = 1;
const SECRET_BYTES = 16;
const CHECK_BYTES = 4;

export interface EnrolmentCode {
  readonly secret: Uint8Array;
  readonly tenantId: TenantId;
  readonly identityKey: SigningPublicKey;
  readonly gatewayUrl: string;
}

const checkOf = (bytes: Uint8Array): Uint8Array => sha256(bytes).slice(0, CHECK_BYTES);

/** The code as one word that can be copied: prefix and base64url of CBOR and four bytes that find a mistake in copying. */
export function formatEnrolmentCode(code: EnrolmentCode): string {
  const bytes = encodeCbor([
    VERSION,
    code.secret,
    uuidBytes(code.tenantId),
    code.identityKey,
    code.gatewayUrl,
  ]);
  return PREFIX + toBase64Url(concat(bytes, checkOf(bytes)));
}

/** @throws {SdkError} `enrolment_code_invalid` */
export function parseEnrolmentCode(text: string): EnrolmentCode {
  const invalid = new SdkError(
    'enrolment_code_invalid',
    'This is not an enrolment code, or it was not copied whole.',
  );
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX)) throw invalid;
  try {
    const all = fromBase64Url(trimmed.slice(PREFIX.length));
    const bytes = all.slice(0, -CHECK_BYTES);
    if (toBase64Url(checkOf(bytes)) !== toBase64Url(all.slice(-CHECK_BYTES))) throw invalid;
    const value = decodeCbor(bytes);
    if (!Array.isArray(value) || value.length !== 5 || value[0] !== VERSION) throw invalid;
    const [, secret, tenant, identityKey, gatewayUrl]: unknown[] = value;
    if (!(secret instanceof Uint8Array && tenant instanceof Uint8Array && identityKey instanceof Uint8Array))
      throw invalid;
    if (secret.length !== SECRET_BYTES || identityKey.length !== 32 || typeof gatewayUrl !== 'string')
      throw invalid;
    if (!URL.canParse(gatewayUrl) || !gatewayUrl.startsWith('https://')) throw invalid;
    return {
      secret,
      tenantId: parseTenantId(uuidText(tenant)),
      identityKey: identityKey as SigningPublicKey,
      gatewayUrl,
    };
  } catch (error) {
    if (error instanceof ProtocolError) throw invalid;
    throw error;
  }
}

export const newEnrolmentSecret = (): Uint8Array => crypto.getRandomValues(new Uint8Array(SECRET_BYTES));

/** The key whose public half a grant names: HKDF-SHA256 of the secret, info "astis/v1 enrolment". */
export const enrolmentSigner = (secret: Uint8Array): Signer =>
  localSigner(hkdf(sha256, secret, undefined, utf8('astis/v1 enrolment'), 32) as SigningPrivateKey);

/** All that must be kept of an enrolment. */
export interface EnrolledKeys {
  readonly gatewayUrl: string;
  readonly tenant: PinnedTenant;
  readonly personId: PersonId;
  readonly address: Address;
  readonly signingKey: SigningPrivateKey;
  readonly kem: KemName;
  readonly kemPrivateKey: KemPrivateKey;
  readonly certificate: Uint8Array;
  /** Capsules that waited under a holding key. */
  readonly rewrapped: number;
}

/** Makes keys, registers them, and checks that the certificate is for them and by the organisation of the code. */
export async function enrol(
  transport: Transport,
  code: EnrolmentCode,
  kem: KemName = DEFAULT_KEM,
): Promise<EnrolledKeys> {
  const signingKey = newSigningKey();
  const signer = localSigner(signingKey);
  const pair: KemKeyPair = await newKemKeyPair(kem);
  const enrolment = enrolmentSigner(code.secret);
  const challenge = await postOpenly(
    transport,
    `${code.gatewayUrl}/v1/enrolments/challenge`,
    { tenantId: code.tenantId, enrolmentKeyId: enrolment.keyId, kem, kemKey: toBase64Url(pair.publicKey) },
    Challenge,
  );
  const address = parseAddress(challenge.address);
  const sealed = { enc: fromBase64Url(challenge.enc), ciphertext: fromBase64Url(challenge.ciphertext) };
  const challengeAnswer = await openChallenge(sealed, await localUnwrapper(kem, pair.privateKey));
  const registration = {
    tenantId: code.tenantId,
    address,
    signingKey: signer.publicKey,
    kem,
    kemKey: pair.publicKey,
    challengeAnswer,
    at: Math.floor(Date.now() / 1000),
  };
  const enrolled = await postOpenly(
    transport,
    `${code.gatewayUrl}/v1/enrolments`,
    { tenantId: code.tenantId, enrolment: toBase64Url(await signEnrolment(registration, signer, enrolment)) },
    Enrolled,
  );
  const certificateBytes = fromBase64Url(enrolled.certificate);
  const certificate = verifyCertificate(certificateBytes, code.identityKey, code.tenantId);
  const isOurs =
    certificate.address === address &&
    certificate.kem === kem &&
    toBase64Url(certificate.kemKey) === toBase64Url(pair.publicKey) &&
    certificate.signingKey !== undefined &&
    toBase64Url(certificate.signingKey) === toBase64Url(signer.publicKey);
  if (!isOurs)
    throw new SdkError('answer_untrusted', 'The certificate is not for the keys that were registered.');
  return {
    gatewayUrl: code.gatewayUrl,
    tenant: {
      tenantId: code.tenantId,
      identityKey: code.identityKey,
      checkpointKey: enrolled.tenant.checkpointKey,
      receiptKey: enrolled.tenant.receiptKey,
      logOrigin: enrolled.tenant.logOrigin,
    },
    personId: parsePersonId(enrolled.person.id),
    address,
    signingKey,
    kem,
    kemPrivateKey: pair.privateKey,
    certificate: certificateBytes,
    rewrapped: enrolled.rewrapped,
  };
}
