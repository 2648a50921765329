import { localUnwrapper, openCapsule } from '@astis/crypto';
import type { CustodyCapsule, RewrapResult, WrapBytes } from '@astis/protocol';
import { fromBase64Url, kemKeyId, ORGANISATION } from '@astis/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Deployment } from '../deployment.fixture.ts';
import { newDeployment } from '../deployment.fixture.ts';
import type { Member, Organisation, Sealed } from '../organisation.fixture.ts';
import { newOrganisation, now } from '../organisation.fixture.ts';

describe('rotation of the organisation key', () => {
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

  const rotate = async (order?: string) =>
    deployment.call('organisation.rotate', {
      tenantId: org.tenantId,
      order: order ?? (await org.custodyOrder({ action: 'rotate-organisation-key' })),
    });
  const newestKeyId = async () => {
    const { kem, kemKey } = await org.recoveryCertificate();
    return kemKeyId(kem, kemKey);
  };
  const rewrap = async (targetKeyId: string, capsules: CustodyCapsule[]) =>
    (await deployment.call('rewrap', { tenantId: org.tenantId, targetKeyId, capsules })).results;

  test('makes one newer key for one order, however often it comes', async () => {
    const before = await newestKeyId();
    const order = await org.custodyOrder({ action: 'rotate-organisation-key' });
    const answers = await Promise.all(Array.from({ length: 8 }, () => rotate(order)));
    const [first] = answers;
    expect(answers.every((answer) => answer.certificate === first?.certificate)).toBe(true);
    expect(first?.previousKeyId).toBe(before);
    expect(await newestKeyId()).not.toBe(before);
  });

  test('is refused from a member, for another action, with a subject, and stale', async () => {
    const refusal = async (order: string) =>
      deployment.refusal('organisation.rotate', { tenantId: org.tenantId, order });
    const action = 'rotate-organisation-key';
    expect(await refusal(await org.custodyOrder({ action }, sealer.signer))).toBe('order_invalid');
    expect(await refusal(await org.custodyOrder({ action: 'recover' }))).toBe('order_invalid');
    expect(await refusal(await org.custodyOrder({ action, subject: 'x' }))).toBe('order_invalid');
    expect(await refusal(await org.custodyOrder({ action, at: now() - 3600 }))).toBe('order_invalid');
  });

  /** What the gateway keeps of a capsule, and moves on when an answer came back. */
  interface Kept {
    readonly sealed: Sealed;
    capsule: CustodyCapsule;
  }

  test('turns all capsules, resumably: with the CVS killed half way and answers lost, it ends as if nothing was', async () => {
    const organisation = await org.recoveryCertificate();
    const kept: Kept[] = [];
    for (let i = 0; i < 600; i++) {
      const sealed = await org.seal(sealer, [organisation]);
      kept.push({ sealed, capsule: sealed.capsule(ORGANISATION) });
    }
    const order = await org.custodyOrder({ action: 'rotate-organisation-key' });
    const { previousKeyId } = await rotate(order);

    const apply = (batch: readonly Kept[], results: readonly RewrapResult[]) => {
      for (const [i, item] of batch.entries()) {
        const { wrap, link, refused } = results[i] ?? {};
        if (wrap === undefined || link === undefined) throw new Error(`refused: ${refused}`);
        item.capsule = { ...item.capsule, wrap, links: [...item.capsule.links, link] };
      }
    };
    const target = await newestKeyId();
    const batch = (from: number) => kept.slice(from, from + 200);
    apply(
      batch(0),
      await rewrap(
        target,
        batch(0).map(({ capsule }) => capsule),
      ),
    );
    // This answer is lost on its way…
    await rewrap(
      target,
      batch(200).map(({ capsule }) => capsule),
    );
    // …and this one never came to be.
    const cut = rewrap(
      target,
      batch(400).map(({ capsule }) => capsule),
    ).then(
      () => 'answered',
      () => 'failed',
    );
    await deployment.stop();
    expect(['answered', 'failed']).toContain(await cut);
    await deployment.start();

    // The gateway begins again where its own store says it was, by the same order.
    expect((await rotate(order)).previousKeyId).toBe(previousKeyId);
    expect(await newestKeyId()).toBe(target);
    for (const from of [200, 400])
      apply(
        batch(from),
        await rewrap(
          target,
          batch(from).map(({ capsule }) => capsule),
        ),
      );

    // What is done is refused by name, so that nothing is turned in circles.
    const again = await rewrap(
      target,
      batch(0).map(({ capsule }) => capsule),
    );
    expect(new Set(again.map(({ refused }) => refused))).toEqual(new Set(['target_refused']));

    // The old key goes; everything is still recovered, through the chain of links.
    const retire = (keyId: string) =>
      deployment.call('organisation.retire', { tenantId: org.tenantId, keyId });
    expect(await retire(previousKeyId)).toEqual({ retired: true });
    expect(await retire(previousKeyId)).toEqual({ retired: true });
    const unwrapper = await localUnwrapper(org.admin.kem.kem, org.admin.kem.privateKey);
    for (const { sealed, capsule } of [kept[0], kept[250], kept[599]].filter((each) => each !== undefined)) {
      const result = await deployment.call('recover', {
        tenantId: org.tenantId,
        order: await org.custodyOrder({ action: 'recover', subject: sealed.artifactId }),
        capsule,
      });
      const { dek } = await openCapsule(
        {
          statement: fromBase64Url(capsule.statement),
          sealerCertificate: fromBase64Url(capsule.sealerCertificate),
          wrap: fromBase64Url(result.wrap ?? '') as WrapBytes,
          links: [...capsule.links, result.link ?? ''].map(fromBase64Url),
          address: org.adminAddress,
        },
        { tenantId: org.tenantId, identityKey: org.identityKey },
        unwrapper,
      );
      expect(dek).toEqual(sealed.dek);
    }
    const fresh = await org.seal(sealer, [organisation]);
    const [gone] = await rewrap(target, [fresh.capsule(ORGANISATION)]);
    expect(gone?.refused).toBe('key_destroyed');
  });

  test('the newest key is never retired, nor one that isn’t an organisation key', async () => {
    const refusal = (keyId: string) =>
      deployment.refusal('organisation.retire', { tenantId: org.tenantId, keyId });
    expect(await refusal(await newestKeyId())).toBe('target_refused');
    const holding = await org.holding(org.address('held'));
    expect(await refusal(kemKeyId(holding.kem, holding.kemKey))).toBe('not_found');
    expect(await refusal(sealer.kem.keyId)).toBe('not_found');
  });

  test('nothing is turned to an organisation key that is not the newest', async () => {
    const older = await org.recoveryCertificate();
    const sealed = await org.seal(sealer, [older]);
    await rotate();
    const second = await newestKeyId();
    await rotate();
    expect(
      await deployment.refusal('rewrap', {
        tenantId: org.tenantId,
        targetKeyId: second,
        capsules: [sealed.capsule(ORGANISATION)],
      }),
    ).toBe('target_refused');
    const [result] = await rewrap(await newestKeyId(), [sealed.capsule(ORGANISATION)]);
    expect(result?.refused).toBeUndefined();
  });
});
