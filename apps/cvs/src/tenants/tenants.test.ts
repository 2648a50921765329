import { randomBytes } from 'node:crypto';
import { parseVerifierKey } from '@astis/audit';
import { localSigner, newSigningKey, verifyCertificate } from '@astis/crypto';
import { fromBase64Url, ORGANISATION, parseTenantId, toBase64Url } from '@astis/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PLATFORM } from '../calls/platform.ts';
import type { Deployment } from '../deployment.fixture.ts';
import { LOG_PREFIX, newDeployment } from '../deployment.fixture.ts';
import { newTenantOrder, now } from '../organisation.fixture.ts';

describe('tenants', () => {
  let deployment: Deployment;
  const code = localSigner(newSigningKey());

  beforeAll(async () => {
    deployment = await newDeployment();
    await deployment.start();
  });
  afterAll(() => deployment.end());

  const orderBy = (by = deployment.operator, fields = {}) =>
    newTenantOrder(by, { enrolmentKey: code.publicKey, ...fields });

  test('the operator’s order makes keys of which only the public halves are shown', async () => {
    const { order, bytes } = await orderBy();
    const keys = await deployment.call('tenant.create', { order: toBase64Url(bytes) });
    expect(keys).toMatchObject({ tenantId: order.tenantId, logOrigin: `${LOG_PREFIX}/${order.tenantId}` });
    const identityKey = fromBase64Url(keys.identityKey) as Parameters<typeof verifyCertificate>[1];
    const certificate = verifyCertificate(
      fromBase64Url(keys.organisationCertificate),
      identityKey,
      order.tenantId,
    );
    expect(certificate).toMatchObject({
      kind: 'organisation',
      address: ORGANISATION,
      serial: 1,
      kem: 'X-Wing',
    });
    expect(parseVerifierKey(keys.checkpointKey).name).toBe(keys.logOrigin);
    expect(await deployment.call('tenant.keys', { tenantId: order.tenantId })).toEqual(keys);
  });

  test('the same order again gives the same keys; another order for the same tenant is refused', async () => {
    const { order, bytes } = await orderBy();
    const keys = await deployment.call('tenant.create', { order: toBase64Url(bytes) });
    expect(await deployment.call('tenant.create', { order: toBase64Url(bytes) })).toEqual(keys);
    const other = await orderBy(deployment.operator, { tenantId: order.tenantId, name: 'Another' });
    expect(await deployment.refusal('tenant.create', { order: toBase64Url(other.bytes) })).toBe(
      'already_exists',
    );
  });

  test('the same order ten times at once makes one tenant', async () => {
    const { order, bytes } = await orderBy();
    const all = await Promise.all(
      Array.from({ length: 10 }, () => deployment.call('tenant.create', { order: toBase64Url(bytes) })),
    );
    expect(new Set(all.map((keys) => keys.identityKey)).size).toBe(1);
    const events = await deployment.log(order.tenantId);
    expect(
      events.filter((event) => event['kind'] === 'tenant.create' && event['repeated'] === false),
    ).toHaveLength(1);
  });

  test.each([
    ['signed by somebody else', async () => (await orderBy(localSigner(newSigningKey()))).bytes],
    ['lapsed', async () => (await orderBy(deployment.operator, { notAfter: now() - 1 })).bytes],
    [
      'for the reserved tenant',
      async () => (await orderBy(deployment.operator, { tenantId: PLATFORM })).bytes,
    ],
    [
      'with the reserved address as admin',
      async () => (await orderBy(deployment.operator, { admin: ORGANISATION })).bytes,
    ],
  ])('an order %s is refused, and that stands in the platform’s log', async (_what, make) => {
    const order = toBase64Url(await make());
    expect(await deployment.refusal('tenant.create', { order })).toBe('order_invalid');
    const [last] = (await deployment.log(PLATFORM)).slice(-1);
    expect(last).toMatchObject({ kind: 'tenant.create', outcome: 'refused', code: 'order_invalid' });
  });

  test('a changed order is refused', async () => {
    const { bytes } = await orderBy();
    const changed = Uint8Array.from(bytes);
    changed[40] = (changed[40] ?? 0) ^ 1;
    expect(await deployment.refusal('tenant.create', { order: toBase64Url(changed) })).toMatch(
      /^(order_invalid|malformed_object)$/,
    );
    expect(await deployment.refusal('tenant.create', { order: toBase64Url(randomBytes(200)) })).toBe(
      'malformed_object',
    );
  });

  test('the keys of a tenant that isn’t there are not found', async () => {
    const tenantId = parseTenantId('11111111-1111-4111-8111-111111111111');
    expect(await deployment.refusal('tenant.keys', { tenantId })).toBe('not_found');
    expect(await deployment.refusal('tenant.keys', { tenantId: 'x' })).toBe('malformed_object');
    expect(await deployment.refusal('tenant.keys', { tenantId: PLATFORM })).toBe('not_found');
  });
});
