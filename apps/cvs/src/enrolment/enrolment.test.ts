import { randomBytes } from 'node:crypto';
import { localSigner, newKemKeyPair, newSigningKey, signEnrolment } from '@astis/crypto';
import {
  decodeRegistration,
  decodeSign1,
  fromBase64Url,
  KEM_NAMES,
  ORGANISATION,
  toBase64Url,
} from '@astis/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Deployment } from '../deployment.fixture.ts';
import { newDeployment } from '../deployment.fixture.ts';
import type { Organisation } from '../organisation.fixture.ts';
import { HOUR, newOrganisation, now } from '../organisation.fixture.ts';

describe('enrolment', () => {
  let deployment: Deployment;
  let org: Organisation;
  let other: Organisation;

  beforeAll(async () => {
    deployment = await newDeployment();
    await deployment.start();
    [org, other] = await Promise.all([newOrganisation(deployment), newOrganisation(deployment)]);
  });
  afterAll(() => deployment.end());

  const newCode = () => localSigner(newSigningKey());
  const newPerson = async () => ({ signer: newCode(), kem: await newKemKeyPair('X-Wing') });

  test('the first admin enrols on the operator’s order, as an admin', () => {
    expect(org.admin.certificate).toMatchObject({
      address: org.adminAddress,
      kind: 'person',
      role: 'admin',
      hardwareBacked: false,
    });
  });

  test.each(KEM_NAMES)('a person enrols on an admin’s grant with a %s key', async (kem) => {
    const person = await org.enrol(`someone-${kem.toLowerCase()}`, { hardwareBacked: true }, kem);
    expect(person.certificate).toMatchObject({ kind: 'person', role: 'member', hardwareBacked: true, kem });
  });

  test('serials count up without a gap that stays, also when people enrol at once', async () => {
    const fresh = await newOrganisation(deployment);
    const people = await Promise.all(Array.from({ length: 8 }, (_, i) => fresh.enrol(`p${i}`)));
    const serials = people.map((person) => person.certificate.serial).sort((a, b) => a - b);
    expect(serials).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
  });

  describe('refuses', () => {
    async function parts(name: string) {
      const address = org.address(name);
      const code = newCode();
      const { signer, kem } = await newPerson();
      const grant = (fields = {}, by = org.admin.signer) =>
        org.grant({ address, enrolmentKey: code.publicKey, ...fields }, by);
      const enrolment = (changes = {}, by = code) => org.registration(address, by, signer, kem, changes);
      return { address, code, signer, kem, grant, enrolment };
    }

    /** Everything right but what a test changes. */
    async function attempt(
      name: string,
      change: (made: Awaited<ReturnType<typeof parts>>) => Promise<object> | object,
    ) {
      const made = await parts(name);
      return deployment.refusal('enrolment.certify', {
        tenantId: org.tenantId,
        grant: toBase64Url(await made.grant()),
        enrolment: toBase64Url(await made.enrolment()),
        ...(await change(made)),
      });
    }

    test('a grant that a member signed', async () => {
      const member = await org.enrol('plain-member');
      const code = await attempt('a1', async ({ grant }) => ({
        grant: toBase64Url(await grant({}, member.signer)),
      }));
      expect(code).toBe('grant_invalid');
    });

    test('a grant that a stranger, or another organisation’s admin, signed', async () => {
      for (const by of [newCode(), other.admin.signer]) {
        const code = await attempt('a2', async ({ grant }) => ({ grant: toBase64Url(await grant({}, by)) }));
        expect(code).toBe('grant_invalid');
      }
    });

    test('a grant that names another organisation', async () => {
      const code = await attempt('a3', async ({ grant }) => ({
        grant: toBase64Url(await grant({ tenantId: other.tenantId })),
      }));
      expect(code).toBe('grant_invalid');
    });

    test('a lapsed grant', async () => {
      const code = await attempt('a4', async ({ grant }) => ({
        grant: toBase64Url(await grant({ notAfter: now() })),
      }));
      expect(code).toBe('grant_invalid');
    });

    test('a grant for the organisation’s own address: its holder would be sent what only admins recover', async () => {
      const code = newCode();
      const { signer, kem } = await newPerson();
      const grant = await org.grant({ address: ORGANISATION, enrolmentKey: code.publicKey });
      const enrolment = await org.registration(ORGANISATION, code, signer, kem);
      expect(
        await deployment.refusal('enrolment.certify', {
          tenantId: org.tenantId,
          grant: toBase64Url(grant),
          enrolment: toBase64Url(enrolment),
        }),
      ).toBe('grant_invalid');
    });

    test('an enrolment that the code’s key did not sign: a gateway can not put its own keys there', async () => {
      const code = await attempt('a5', async ({ enrolment }) => ({
        enrolment: toBase64Url(await enrolment({}, newCode())),
      }));
      expect(code).toBe('enrolment_invalid');
    });

    test('an enrolment of another address or organisation than the grant', async () => {
      for (const changes of [{ address: org.address('mallory') }, { tenantId: other.tenantId }]) {
        const code = await attempt('a6', async ({ enrolment }) => ({
          enrolment: toBase64Url(await enrolment(changes)),
        }));
        expect(code).toBe('enrolment_invalid');
      }
    });

    test('a wrong answer to the challenge, and a KEM key that the answer was not for', async () => {
      const wrong = await attempt('a7', async ({ enrolment }) => ({
        enrolment: toBase64Url(await enrolment({ challengeAnswer: randomBytes(32) })),
      }));
      expect(wrong).toBe('challenge_failed');
      const { kem, publicKey } = await newKemKeyPair('X-Wing');
      const stolen = await attempt('a8', async ({ enrolment }) => ({
        enrolment: toBase64Url(await enrolment({ kem, kemKey: publicKey })),
      }));
      expect(stolen).toBe('challenge_failed');
    });

    test('an answer that was used', async () => {
      const { address, code, signer, kem, grant } = await parts('a9');
      const enrolment = toBase64Url(await org.registration(address, code, signer, kem));
      const params = { tenantId: org.tenantId, grant: toBase64Url(await grant()), enrolment };
      await deployment.call('enrolment.certify', params);
      const again = newCode();
      const second = await org.grant({ address, enrolmentKey: again.publicKey });
      // The same answer under a new code: there is no challenge left for it.
      const inner = decodeSign1(fromBase64Url(enrolment), 'astis/enrolment').payload;
      const registration = decodeRegistration(decodeSign1(inner, 'astis/key-registration').payload);
      expect(
        await deployment.refusal('enrolment.certify', {
          ...params,
          grant: toBase64Url(second),
          enrolment: toBase64Url(await signEnrolment(registration, signer, again)),
        }),
      ).toBe('challenge_failed');
    });

    test('a second enrolment with a used code; the same one again gives the same certificate', async () => {
      const { address, code, signer, kem, grant } = await parts('a10');
      const granted = toBase64Url(await grant());
      const enrolment = toBase64Url(await org.registration(address, code, signer, kem));
      const params = { tenantId: org.tenantId, grant: granted, enrolment };
      const first = await deployment.call('enrolment.certify', params);
      expect(await deployment.call('enrolment.certify', params)).toEqual(first);
      const thief = await newPerson();
      const second = await org.registration(address, code, thief.signer, thief.kem);
      expect(
        await deployment.refusal('enrolment.certify', { ...params, enrolment: toBase64Url(second) }),
      ).toBe('enrolment_invalid');
    });

    test('the first admin’s code once that admin has enrolled', async () => {
      const thief = await newPerson();
      const enrolment = await org.registration(org.adminAddress, newCode(), thief.signer, thief.kem);
      expect(
        await deployment.refusal('enrolment.certify', {
          tenantId: org.tenantId,
          enrolment: toBase64Url(enrolment),
        }),
      ).toBe('enrolment_invalid');
    });

    test('keys of another address, and keys that were revoked', async () => {
      const owner = await org.enrol('owner');
      const enrolWith = async (name: string) => {
        const code = newCode();
        const address = org.address(name);
        const grant = await org.grant({ address, enrolmentKey: code.publicKey });
        const enrolment = await org.registration(address, code, owner.signer, owner.kem);
        return deployment.refusal('enrolment.certify', {
          tenantId: org.tenantId,
          grant: toBase64Url(grant),
          enrolment: toBase64Url(enrolment),
        });
      };
      expect(await enrolWith('borrower')).toBe('enrolment_invalid');
      await deployment.call('key.revoke', {
        tenantId: org.tenantId,
        revocation: await org.revocation(owner),
      });
      expect(await enrolWith('owner')).toBe('key_revoked');
    });

    test('a grant of an admin who was removed since', async () => {
      const second = await org.enrol('second-admin', { role: 'admin' });
      const made = await parts('a11');
      const grant = toBase64Url(await made.grant({}, second.signer));
      await deployment.call('key.revoke', {
        tenantId: org.tenantId,
        revocation: await org.revocation(second),
      });
      const enrolment = toBase64Url(await made.enrolment());
      expect(
        await deployment.refusal('enrolment.certify', { tenantId: org.tenantId, grant, enrolment }),
      ).toBe('key_revoked');
    });

    test('a challenge for what is no key', async () => {
      const params = { tenantId: org.tenantId, kem: 'X-Wing', kemKey: toBase64Url(randomBytes(1215)) };
      expect(await deployment.refusal('enrolment.challenge', params)).toBe('malformed_object');
      const low = { tenantId: org.tenantId, kem: 'X25519', kemKey: toBase64Url(new Uint8Array(32)) };
      expect(await deployment.refusal('enrolment.challenge', low)).toBe('malformed_object');
      expect(await deployment.refusal('enrolment.challenge', { ...low, kem: 'RSA' })).toBe('invalid_request');
    });
  });

  describe('revocation', () => {
    test('ends the certificate, and again is the same', async () => {
      const member = await org.enrol('leaver');
      const params = { tenantId: org.tenantId, revocation: await org.revocation(member) };
      expect(await deployment.call('key.revoke', params)).toEqual({ revoked: true });
      expect(await deployment.call('key.revoke', params)).toEqual({ revoked: true });
      // What the leaver signs counts no more.
      const order = await org.custodyOrder({ action: 'holding-key', subject: 'x@else.test' }, member.signer);
      expect(await deployment.refusal('holding.create', { tenantId: org.tenantId, order })).toBe(
        'key_revoked',
      );
    });

    test('is refused from a member, a stranger, another organisation, for another address, or of the future', async () => {
      const member = await org.enrol('stayer');
      const refusal = async (revocation: string) =>
        deployment.refusal('key.revoke', { tenantId: org.tenantId, revocation });
      expect(await refusal(await org.revocation(org.admin, {}, member.signer))).toBe('order_invalid');
      expect(await refusal(await org.revocation(member, {}, newCode()))).toBe('order_invalid');
      expect(await refusal(await org.revocation(member, {}, other.admin.signer))).toBe('order_invalid');
      expect(await refusal(await org.revocation(member, { tenantId: other.tenantId }))).toBe('order_invalid');
      expect(await refusal(await org.revocation(member, { at: now() + HOUR }))).toBe('order_invalid');
      expect(await refusal(await org.revocation(member, { address: org.address('nobody') }))).toBe(
        'not_found',
      );
      expect(await refusal(await org.revocation(member, { serial: 9999 }))).toBe('not_found');
      // The organisation's own certificate is ended by rotation alone.
      expect(await refusal(await org.revocation(member, { serial: 1, address: ORGANISATION }))).toBe(
        'not_found',
      );
    });

    test('never leaves an organisation without an admin', async () => {
      const fresh = await newOrganisation(deployment);
      const revocation = await fresh.revocation(fresh.admin);
      expect(await deployment.refusal('key.revoke', { tenantId: fresh.tenantId, revocation })).toBe(
        'forbidden',
      );
      const second = await fresh.enrol('second', { role: 'admin' });
      const bySecond = await fresh.revocation(fresh.admin, {}, second.signer);
      expect(await deployment.call('key.revoke', { tenantId: fresh.tenantId, revocation: bySecond })).toEqual(
        {
          revoked: true,
        },
      );
    });

    test('two admins who revoke each other at once: one of them stays', async () => {
      const fresh = await newOrganisation(deployment);
      const second = await fresh.enrol('second', { role: 'admin' });
      const attempts = await Promise.allSettled([
        deployment.call('key.revoke', {
          tenantId: fresh.tenantId,
          revocation: await fresh.revocation(second),
        }),
        deployment.call('key.revoke', {
          tenantId: fresh.tenantId,
          revocation: await fresh.revocation(fresh.admin, {}, second.signer),
        }),
      ]);
      expect(attempts.map((attempt) => attempt.status).sort()).toEqual(['fulfilled', 'rejected']);
    });
  });

  test('a person who enrols again gets a newer certificate, and the older keys sign nothing more', async () => {
    const before = await org.enrol('again');
    const after = await org.enrol('again');
    expect(after.certificate.serial).toBeGreaterThan(before.certificate.serial);
    const order = await org.custodyOrder({ action: 'holding-key', subject: 'y@else.test' }, before.signer);
    expect(await deployment.refusal('holding.create', { tenantId: org.tenantId, order })).toBe('key_revoked');
  });
});
