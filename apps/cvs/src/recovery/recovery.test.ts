import { localUnwrapper, openCapsule } from '@astis/crypto';
import type { CustodyCapsule, WrapBytes } from '@astis/protocol';
import { fromBase64Url, ORGANISATION } from '@astis/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Deployment } from '../deployment.fixture.ts';
import { newDeployment } from '../deployment.fixture.ts';
import type { Member, Organisation, Sealed } from '../organisation.fixture.ts';
import { newOrganisation, now } from '../organisation.fixture.ts';

describe('recovery', () => {
  let deployment: Deployment;
  let org: Organisation;
  let sealer: Member;

  beforeAll(async () => {
    deployment = await newDeployment();
    await deployment.start();
    org = await newOrganisation(deployment);
    sealer = await org.enrol('sealer');
  });
  afterAll(() => deployment.end());

  const seal = async (changes: Parameters<Organisation['seal']>[2] = {}): Promise<Sealed> =>
    org.seal(sealer, [sealer.certificate, await org.recoveryCertificate()], changes);
  const orderFor = (subject: string, by = org.admin, fields = {}) =>
    org.custodyOrder({ action: 'recover', subject, ...fields }, by.signer);
  const recover = (order: string, capsule: CustodyCapsule) =>
    deployment.call('recover', { tenantId: org.tenantId, order, capsule });
  const refusal = (order: string, capsule: CustodyCapsule) =>
    deployment.refusal('recover', { tenantId: org.tenantId, order, capsule });

  test('gives what was sealed to the organisation to the admin who signed the order, who can open it', async () => {
    const sealed = await seal();
    const capsule = sealed.capsule(ORGANISATION);
    const result = await recover(await orderFor(sealed.artifactId), capsule);
    const { dek } = await openCapsule(
      {
        statement: fromBase64Url(capsule.statement),
        sealerCertificate: fromBase64Url(capsule.sealerCertificate),
        wrap: fromBase64Url(result.wrap ?? '') as WrapBytes,
        links: [fromBase64Url(result.link ?? '')],
        address: org.adminAddress,
      },
      { tenantId: org.tenantId, identityKey: org.identityKey },
      await localUnwrapper(org.admin.kem.kem, org.admin.kem.privateKey),
    );
    expect(dek).toEqual(sealed.dek);
    const [event] = (await deployment.log(org.tenantId)).slice(-1);
    expect(event).toMatchObject({
      kind: 'recover',
      actor: org.adminAddress,
      subject: sealed.artifactId,
      from: ORGANISATION,
      to: org.adminAddress,
      outcome: 'granted',
    });
  });

  test('an order is good once, also when it comes ten times at once', async () => {
    const sealed = await seal();
    const order = await orderFor(sealed.artifactId);
    const capsule = sealed.capsule(ORGANISATION);
    const attempts = await Promise.allSettled(Array.from({ length: 10 }, () => recover(order, capsule)));
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await refusal(order, capsule)).toBe('order_replayed');
  });

  test('is refused to members, on stale orders, on orders for something else, and to admins who were removed', async () => {
    const sealed = await seal();
    const capsule = sealed.capsule(ORGANISATION);
    expect(await refusal(await orderFor(sealed.artifactId, sealer), capsule)).toBe('order_invalid');
    expect(await refusal(await orderFor(sealed.artifactId, org.admin, { at: now() - 3600 }), capsule)).toBe(
      'order_invalid',
    );
    const rotation = await org.custodyOrder({ action: 'rotate-organisation-key' });
    expect(await refusal(rotation, capsule)).toBe('order_invalid');
    const removed = await org.enrol('removed-admin', { role: 'admin' });
    const order = await orderFor(sealed.artifactId, removed);
    await deployment.call('key.revoke', {
      tenantId: org.tenantId,
      revocation: await org.revocation(removed),
    });
    expect(await refusal(order, capsule)).toBe('key_revoked');
  });

  test('refuses another artifact than the order names, what expired, and what is to somebody else', async () => {
    const [sealed, second] = [await seal(), await seal()];
    const refused = async (order: string, capsule: CustodyCapsule) => (await recover(order, capsule)).refused;
    expect(await refused(await orderFor(sealed.artifactId), second.capsule(ORGANISATION))).toBe(
      'order_invalid',
    );
    const old = await seal({ sealedAt: now() - 60, notAfter: now() - 1 });
    expect(await refused(await orderFor(old.artifactId), old.capsule(ORGANISATION))).toBe('expired');
    expect(await refused(await orderFor(sealed.artifactId), sealed.capsule(sealer.address))).toBe(
      'target_refused',
    );
    const holding = await org.holding(org.address('guest'));
    const held = await org.seal(sealer, [holding]);
    expect(await refused(await orderFor(held.artifactId), held.capsule(org.address('guest')))).toBe(
      'target_refused',
    );
    const renamed = { ...held.capsule(org.address('guest')), address: ORGANISATION };
    expect(await refused(await orderFor(held.artifactId), renamed)).toBe('statement_mismatch');
  });

  test('a refused capsule does not use the order up', async () => {
    const sealed = await seal();
    const order = await orderFor(sealed.artifactId);
    const capsule = sealed.capsule(ORGANISATION);
    expect((await recover(order, { ...capsule, wrap: sealed.capsule(sealer.address).wrap })).refused).toBe(
      'statement_mismatch',
    );
    expect((await recover(order, capsule)).refused).toBeUndefined();
  });
});
