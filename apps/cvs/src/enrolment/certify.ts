import { CryptoError, verifyEnrolment } from '@astis/crypto';
import type { KeyRegistration, SigningPublicKey } from '@astis/protocol';
import {
  fromBase64Url,
  kemKeyId,
  ProblemError,
  parseTenantId,
  signingKeyId,
  toBase64Url,
  utf8,
} from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { custodyCertificates, custodyKeys, custodyRequests } from '@astis/store';
import { sha256 } from '../authority/order.ts';
import type { Handler } from '../calls/handler.ts';
import { granted } from '../calls/handler.ts';
import { loadTenant } from '../tenants/tenant.ts';
import { readAdmission } from './grant.ts';
import { issueCertificate } from './issue.ts';

function readRegistration(object: Uint8Array, enrolmentKey: SigningPublicKey): KeyRegistration {
  try {
    return verifyEnrolment(object, enrolmentKey);
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new ProblemError(
      'enrolment_invalid',
      'The enrolment is not signed by the key of the enrolment code.',
    );
  }
}

/** A key that was taken back stays so, and no key belongs to two addresses. */
async function checkKeysAreFree(tx: CustodyTx, registration: KeyRegistration): Promise<void> {
  const { kem, kemKey, signingKey, address } = registration;
  const kemId = kemKeyId(kem, kemKey);
  for (const keyId of [signingKeyId(signingKey), kemId]) {
    for (const { certificate, revoked } of await custodyCertificates.certificatesByKey(
      tx,
      tx.tenantId,
      keyId,
    )) {
      if (revoked) throw new ProblemError('key_revoked', 'This key was revoked. Make new keys.');
      if (certificate.address !== address)
        throw new ProblemError('enrolment_invalid', 'This key belongs to another address.');
    }
  }
  if ((await custodyKeys.findKeys(tx, tx.tenantId, [kemId])).size > 0)
    throw new ProblemError('enrolment_invalid', 'This key is the key custody service’s own.');
}

interface Earlier {
  readonly enrolment: string;
  readonly certificate: string;
}

const isEarlier = (value: unknown): value is Earlier =>
  typeof value === 'object' &&
  value !== null &&
  'enrolment' in value &&
  'certificate' in value &&
  typeof value.certificate === 'string';

/**
 * `enrolment.certify`: authorised by an admin's grant (the tenant order for the first admin), the enrolment code that
 * the grant names, the new signing key, and the answer which proves the KEM key. A code is good for one enrolment; the
 * same enrolment again gives the same certificate.
 */
export const certifyEnrolment: Handler<'enrolment.certify'> = async (params, services) => {
  const tenantId = parseTenantId(params.tenantId);
  const object = fromBase64Url(params.enrolment);
  const grantObject = params.grant === undefined ? undefined : fromBase64Url(params.grant);
  return {
    tenantId,
    async commit(tx) {
      const { grant, by } = await readAdmission(tx, grantObject, await loadTenant(tx));
      const registration = readRegistration(object, grant.enrolmentKey);
      const { address, kem, kemKey, signingKey, challengeAnswer } = registration;
      if (registration.tenantId !== tenantId || address !== grant.address)
        throw new ProblemError('enrolment_invalid', 'The enrolment is of another address than the grant.');

      const enrolment = toBase64Url(sha256(object));
      const code = sha256(utf8('astis/v1 enrolment key'), grant.enrolmentKey);
      const earlier = await custodyRequests.carriedOut(tx, tenantId, code);
      if (earlier !== undefined) {
        if (!isEarlier(earlier) || earlier.enrolment !== enrolment)
          throw new ProblemError('enrolment_invalid', 'The enrolment code was used before.');
        const event = granted('enrolment.certify', by, address, { repeated: true });
        return { result: { certificate: earlier.certificate }, events: [event] };
      }

      await checkKeysAreFree(tx, registration);
      const answered = sha256(challengeAnswer);
      if (!(await custodyRequests.takeChallenge(tx, tenantId, kemKeyId(kem, kemKey), answered)))
        throw new ProblemError(
          'challenge_failed',
          'Possession of the KEM key was not proved. Ask for a new challenge.',
        );
      const { kind, role, hardwareBacked } = grant;
      const fields = { address, kind, role, hardwareBacked, signingKey, kem, kemKey };
      const { certificate, bytes } = await issueCertificate(tx, fields, services);
      const result = { certificate: toBase64Url(bytes) };
      await custodyRequests.insertCarriedOut(tx, tenantId, code, { enrolment, ...result });
      const event = granted('enrolment.certify', by, address, {
        serial: certificate.serial,
        role,
        certificate: toBase64Url(sha256(bytes)),
      });
      return { result, events: [event] };
    },
  };
};
