/** Certificates, enrolment and revocation: the signed objects of protocol/identity.ts. */
import type {
  KeyCertificate,
  KeyRegistration,
  Signed,
  SigningPublicKey,
  TenantId,
} from '@astis/protocol/formats';
import {
  decodeCertificate,
  decodeRegistration,
  decodeSign1,
  encodeCertificate,
  encodeRegistration,
} from '@astis/protocol/formats';
import { CryptoError } from './errors.ts';
import type { Signer } from './signing.ts';
import { signObject, verifyObject } from './signing.ts';

/** Signed by the organisation's identity key. */
export const signCertificate = (
  certificate: KeyCertificate,
  identity: Signer,
): Promise<Signed<'astis/key-certificate'>> =>
  signObject('astis/key-certificate', encodeCertificate(certificate), identity);

/**
 * Checks that the organisation's identity key made this certificate, for this tenant.
 * @throws ProtocolError; CryptoError `certificate_invalid`
 */
export function verifyCertificate(
  bytes: Signed<'astis/key-certificate'> | Uint8Array,
  identityKey: SigningPublicKey,
  tenantId: TenantId,
): KeyCertificate {
  let payload: Uint8Array;
  try {
    payload = verifyObject(bytes, 'astis/key-certificate', identityKey);
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new CryptoError('certificate_invalid', 'the certificate was not made by the organisation');
  }
  const certificate = decodeCertificate(payload);
  if (certificate.tenantId !== tenantId)
    throw new CryptoError('certificate_invalid', 'the certificate is of another tenant');
  return certificate;
}

/**
 * A newcomer's enrolment: the registration signed by the key that it registers, and that object signed once
 * more by the enrolment key which the admin's grant names.
 */
export async function signEnrolment(
  registration: KeyRegistration,
  newcomer: Signer,
  enrolment: Signer,
): Promise<Signed<'astis/enrolment'>> {
  const inner = await signObject('astis/key-registration', encodeRegistration(registration), newcomer);
  return signObject('astis/enrolment', inner, enrolment);
}

/**
 * Checks both signatures and returns the registration.
 * @throws ProtocolError; CryptoError `signature_invalid`
 */
export function verifyEnrolment(
  bytes: Signed<'astis/enrolment'> | Uint8Array,
  enrolmentKey: SigningPublicKey,
): KeyRegistration {
  const inner = verifyObject(bytes, 'astis/enrolment', enrolmentKey);
  // The key that must have signed stands inside; the signature under it is checked before anything is used.
  const registration = decodeRegistration(decodeSign1(inner, 'astis/key-registration').payload);
  verifyObject(inner, 'astis/key-registration', registration.signingKey);
  return registration;
}
