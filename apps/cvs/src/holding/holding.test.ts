import { localSigner, newSigningKey } from '@astis/crypto';
import { kemKeyId, ORGANISATION, parseAddress } from '@astis/protocol';
import { custodyKeys, Database } from '@astis/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Deployment } from '../deployment.fixture.ts';
import { newDeployment } from '../deployment.fixture.ts';
import type { Organisation } from '../organisation.fixture.ts';
import { newOrganisation, now } from '../organisation.fixture.ts';

describe('holding keys', () => {
  let deployment: Deployment;
  let org: Organisation;
  let other: Organisation;

  beforeAll(async () => {
    deployment = await newDeployment();
    await deployment.start();
    [org, other] = await Promise.all([newOrganisation(deployment), newOrganisation(deployment)]);
  });
  afterAll(() => deployment.end());

  const create = async (order: string) =>
    deployment.refusal('holding.create', { tenantId: org.tenantId, order });

  test('any member orders one; the address then has that one key', async () => {
    const member = await org.enrol('inviter');
    const address = parseAddress('guest@elsewhere.test');
    const first = await org.holding(address, member);
    expect(first).toMatchObject({
      kind: 'holding',
      address,
      role: 'member',
      signingKey: undefined,
      kem: 'X-Wing',
    });
    expect(await org.holding(address, org.admin)).toEqual(first);
  });

  test('ordered ten times at once it is still one key', async () => {
    const address = parseAddress('crowd@elsewhere.test');
    const all = await Promise.all(Array.from({ length: 10 }, () => org.holding(address)));
    expect(new Set(all.map((certificate) => certificate.serial)).size).toBe(1);
  });

  test('organisations hold keys of their own for the same address', async () => {
    const address = parseAddress('shared@elsewhere.test');
    const [mine, theirs] = [await org.holding(address), await other.holding(address)];
    expect(kemKeyId(mine.kem, mine.kemKey)).not.toBe(kemKeyId(theirs.kem, theirs.kemKey));
  });

  test('orders are refused from strangers, of another organisation, for another action, stale, or with a used nonce', async () => {
    const subject = 'refused@elsewhere.test';
    const action = 'holding-key';
    const stranger = localSigner(newSigningKey());
    expect(await create(await org.custodyOrder({ action, subject }, stranger))).toBe('order_invalid');
    expect(await create(await org.custodyOrder({ action, subject }, other.admin.signer))).toBe(
      'order_invalid',
    );
    expect(await create(await org.custodyOrder({ action, subject, tenantId: other.tenantId }))).toBe(
      'order_invalid',
    );
    expect(await create(await org.custodyOrder({ action: 'recover', subject }))).toBe('order_invalid');
    expect(await create(await org.custodyOrder({ action, subject, at: now() - 3600 }))).toBe('order_invalid');
    expect(await create(await org.custodyOrder({ action, subject, at: now() + 3600 }))).toBe('order_invalid');
    expect(await create(await org.custodyOrder({ action, subject: ORGANISATION }))).toBe('order_invalid');
    expect(await create(await org.custodyOrder({ action, subject: 'not an address' }))).toBe(
      'malformed_object',
    );
    const nonce = new Uint8Array(16).fill(7);
    await deployment.call('holding.create', {
      tenantId: org.tenantId,
      order: await org.custodyOrder({ action, subject, nonce }),
    });
    expect(await create(await org.custodyOrder({ action, subject: 'second@elsewhere.test', nonce }))).toBe(
      'order_replayed',
    );
  });

  test('an address with a key of its own gets none', async () => {
    const member = await org.enrol('has-a-key');
    expect(await create(await org.custodyOrder({ action: 'holding-key', subject: member.address }))).toBe(
      'already_exists',
    );
  });

  describe('destruction', () => {
    test('is refused while the address has no key of its own', async () => {
      const address = org.address('not-yet');
      await org.holding(address);
      expect(await deployment.refusal('holding.destroy', { tenantId: org.tenantId, address })).toBe(
        'target_refused',
      );
      expect(
        await deployment.refusal('holding.destroy', { tenantId: org.tenantId, address: ORGANISATION }),
      ).toBe('target_refused');
    });

    test('is for good: the secret is gone, no capsule is turned, and the old order brings nothing back', async () => {
      const address = org.address('late');
      const order = await org.custodyOrder({ action: 'holding-key', subject: address });
      await deployment.call('holding.create', { tenantId: org.tenantId, order });
      const holding = await org.holding(address);
      const sealed = await org.seal(org.admin, [holding]);
      const late = await org.enrol('late');
      const destroy = () => deployment.call('holding.destroy', { tenantId: org.tenantId, address });
      expect(await destroy()).toEqual({ destroyed: true });
      expect(await destroy()).toEqual({ destroyed: false });

      const keyId = kemKeyId(holding.kem, holding.kemKey);
      const key = await deployment.store.read(org.tenantId, async (tx) =>
        (await custodyKeys.findKeys(tx, org.tenantId, [keyId])).get(keyId),
      );
      expect(key).toMatchObject({ keyId, sealed: undefined });
      const { results } = await deployment.call('rewrap', {
        tenantId: org.tenantId,
        targetKeyId: late.kem.keyId,
        capsules: [sealed.capsule(address)],
      });
      expect(results).toEqual([{ ref: sealed.artifactId, refused: 'key_destroyed' }]);
      expect(await create(order)).toBe('already_exists');
      // Even with the person removed again, the order that was carried out is not carried out anew.
      await deployment.call('key.revoke', { tenantId: org.tenantId, revocation: await org.revocation(late) });
      expect(await create(order)).toBe('order_replayed');
    });
  });

  test('a key is given out in the first half of its life, serves to its end, and is then destroyed', async () => {
    const address = org.address('slow');
    const first = await org.holding(address);
    const sealed = await org.seal(org.admin, [first]);
    const age = async (days: number) => {
      const owner = new Database({ ...deployment.postgres.superuser, database: 'custody' }, 1);
      await owner.query(
        `update keys set created_at = created_at - interval '${days} days' where address = '${address}'`,
      );
      await owner.close();
    };
    await age(200);
    const second = await org.holding(address);
    expect(kemKeyId(second.kem, second.kemKey)).not.toBe(kemKeyId(first.kem, first.kemKey));
    const slow = await org.enrol('slow');
    const rewrap = async () => {
      const { results } = await deployment.call('rewrap', {
        tenantId: org.tenantId,
        targetKeyId: slow.kem.keyId,
        capsules: [sealed.capsule(address)],
      });
      return results[0]?.refused ?? 'granted';
    };
    expect(await rewrap()).toBe('granted');
    await age(170);
    expect(await rewrap()).toBe('key_destroyed');
    await org.holding(org.address('somebody-else'));
    const keys = await deployment.store.read(org.tenantId, (tx) =>
      custodyKeys.listKeys(tx, org.tenantId, 'holding', address),
    );
    expect(keys.map(({ generation, sealed: secret }) => [generation, secret === undefined])).toEqual([
      [2, false],
      [1, true],
    ]);
  });
});
