/**
 * Enrolment: the newcomer asks for a challenge, answers it in a registration signed by the new key and by the one-time
 * enrolment key, and gets a certificate. What was sealed to the address's holding key is rewrapped at once.
 */
import { createHash } from 'node:crypto';
import { CryptoError, verifyCertificate } from '@astis/crypto';
import type { KeyCertificate, KeyId, SigningPublicKey, TenantId } from '@astis/protocol';
import {
  Challenge,
  ChallengeRequest,
  decodeSign1,
  Enrolled,
  EnrolmentRequest,
  fromBase64Url,
  kemKeyId,
  ProblemError,
  parseKeyId,
  parseTenantId,
  signingKeyId,
  toBase64Url,
} from '@astis/protocol';
import { people, requests, tenants } from '@astis/store';
import type { Static } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import { decodeBytes } from '../http/decoding.ts';
import { refusals } from '../http/problems.ts';
import { describeTenant } from '../tenants/routes.ts';
import { rewrapAll } from './rewrap.ts';
import { shown } from './shown.ts';

// The same for an unknown organisation, an unknown code, a lapsed one and one that was used.
const refused = (): ProblemError =>
  new ProblemError(
    'enrolment_invalid',
    'The enrolment code is not known here, has lapsed, or was used. Ask for a new one.',
  );

type PersonRecord = Awaited<ReturnType<typeof people.getPerson>>;

async function invited({ store }: Gateway, tenantId: TenantId, enrolmentKeyId: KeyId): Promise<PersonRecord> {
  return store.transaction(tenantId, async (tx) => {
    const person = await people.findByEnrolmentKey(tx, tenantId, enrolmentKeyId);
    if (person === undefined || person.status !== 'invited') throw refused();
    if (person.enrolmentNotAfter.getTime() <= (await requests.databaseNow(tx))) throw refused();
    return person;
  });
}

async function certify(
  gateway: Gateway,
  tenantId: TenantId,
  person: PersonRecord,
  enrolment: string,
): Promise<{
  readonly bytes: Uint8Array;
  readonly certificate: KeyCertificate;
  readonly signingKey: SigningPublicKey;
}> {
  const { certificate: text } = await gateway.custody.call('enrolment.certify', {
    tenantId,
    enrolment,
    ...(person.grant === undefined ? {} : { grant: toBase64Url(person.grant) }),
  });
  const bytes = fromBase64Url(text);
  const { identityKey } = await gateway.store.transaction(tenantId, (tx) => tenants.getTenant(tx, tenantId));
  try {
    const certificate = verifyCertificate(bytes, identityKey as SigningPublicKey, tenantId);
    const { signingKey } = certificate;
    if (signingKey !== undefined && certificate.address === person.address)
      return { bytes, certificate, signingKey };
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
  }
  throw new ProblemError('custody_unavailable', 'The key custody service answered with another certificate.');
}

async function enrol(
  gateway: Gateway,
  tenantId: TenantId,
  enrolment: string,
): Promise<Static<typeof Enrolled>> {
  const { store } = gateway;
  const { keyId } = decodeSign1(decodeBytes(enrolment, 'enrolment'), 'astis/enrolment');
  const person = await invited(gateway, tenantId, keyId);
  const { bytes, certificate, signingKey } = await certify(gateway, tenantId, person, enrolment);
  const kemId = kemKeyId(certificate.kem, certificate.kemKey);
  const signingId = signingKeyId(signingKey);
  const { active, tenant, holding } = await store.log.append(tenantId, async (tx) => {
    const [before] = await people.liveCertificates(tx, tenantId, [person.address]);
    await people.addCertificate(tx, tenantId, {
      serial: certificate.serial,
      address: person.address,
      kind: certificate.kind,
      kemKeyId: kemId,
      certificate: bytes,
    });
    const result = await people.activate(tx, tenantId, person.id, {
      serial: certificate.serial,
      signingKey,
      signingKeyId: signingId,
      kemKeyId: kemId,
    });
    const described = await describeTenant(tx, gateway, tenantId);
    const data = {
      serial: certificate.serial,
      signingKeyId: signingId,
      kemKeyId: kemId,
      certificateSha256: createHash('sha256').update(bytes).digest('base64url'),
    };
    return {
      events: [{ kind: 'person.enrolled', actor: person.address, subject: person.address, data }],
      finish: () => ({
        active: result,
        tenant: described,
        holding: before?.kind === 'holding' ? before : undefined,
      }),
    };
  });
  // The certificate stands, so the answer must say so: what can't be rewrapped now, the job of jobs/attend.ts finishes.
  const rewrapped =
    holding === undefined
      ? 0
      : await emptyHolding(gateway, tenantId, active, holding.kemKeyId).catch(() => 0);
  return { person: shown(active), tenant, certificate: toBase64Url(bytes), rewrapped };
}

/** Rewraps all that an enrolled person's holding key still has, then has the key destroyed. */
export async function emptyHolding(
  gateway: Pick<Gateway, 'store' | 'custody'>,
  tenantId: TenantId,
  person: Pick<PersonRecord, 'address' | 'kind' | 'kemKeyId'>,
  holdingKeyId: KeyId,
): Promise<number> {
  if (person.kemKeyId === undefined) return 0;
  const rewrapped = await rewrapAll(gateway, tenantId, holdingKeyId, {
    keyId: person.kemKeyId,
    kind: person.kind,
  });
  const { destroyed } = await gateway.custody.call('holding.destroy', { tenantId, address: person.address });
  if (destroyed) {
    await gateway.store.log.append(tenantId, async () => ({
      events: [
        {
          kind: 'holding.destroyed',
          actor: 'system',
          subject: person.address,
          data: { keyId: holdingKeyId },
        },
      ],
      finish: () => undefined,
    }));
  }
  return rewrapped;
}

export function enrolmentRoutes(app: App, gateway: Gateway): void {
  app.post(
    '/v1/enrolments/challenge',
    {
      config: { authentication: 'none' },
      schema: {
        operationId: 'getChallenge',
        summary: 'A challenge that only the holder of the new KEM key can answer',
        tags: ['people'],
        security: [],
        body: ChallengeRequest,
        response: { 200: Challenge, ...refusals },
      },
    },
    async (request) => {
      const tenantId = parseTenantId(request.body.tenantId);
      const person = await invited(gateway, tenantId, parseKeyId(request.body.enrolmentKeyId));
      const { kem, kemKey } = request.body;
      const challenge = await gateway.custody.call('enrolment.challenge', { tenantId, kem, kemKey });
      return { address: person.address, ...challenge };
    },
  );

  app.post(
    '/v1/enrolments',
    {
      config: { authentication: 'none' },
      schema: {
        operationId: 'enrol',
        summary: 'Register keys with an enrolment code',
        tags: ['people'],
        security: [],
        body: EnrolmentRequest,
        response: { 201: Enrolled, ...refusals },
      },
    },
    async (request, reply) => {
      const enrolled = await enrol(gateway, parseTenantId(request.body.tenantId), request.body.enrolment);
      return reply.code(201).send(enrolled);
    },
  );
}
