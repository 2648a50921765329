import { logOrigin } from '@astis/audit';
import { CryptoError, verifyObject } from '@astis/crypto';
import type { SigningPublicKey, TenantOrder } from '@astis/protocol';
import {
  DEFAULT_KEM,
  decodeTenantOrder,
  equalBytes,
  fromBase64Url,
  ORGANISATION,
  ProblemError,
  toBase64Url,
} from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { custodyKeys, custodyTenants } from '@astis/store';
import { sha256 } from '../authority/order.ts';
import type { Handler, Services } from '../calls/handler.ts';
import { granted, secondsOf } from '../calls/handler.ts';
import { PLATFORM } from '../calls/platform.ts';
import { makeOrganisationKey } from '../organisation/make-key.ts';
import { loadTenant, tenantKeysOf } from './tenant.ts';

function readOrder(object: Uint8Array, operatorKey: SigningPublicKey): TenantOrder {
  try {
    return decodeTenantOrder(verifyObject(object, 'astis/tenant-order', operatorKey));
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new ProblemError('order_invalid', 'The order is not signed by the operator.');
  }
}

async function makeTenant(tx: CustodyTx, order: TenantOrder, orderHash: Uint8Array, services: Services) {
  if (order.notAfter <= secondsOf(tx.nowMs)) throw new ProblemError('order_invalid', 'The order has lapsed.');
  const { tenantId } = tx;
  await custodyTenants.insertTenant(tx, tenantId, {
    name: order.name,
    logOrigin: logOrigin(services.logPrefix, tenantId),
    orderHash,
    firstAdmin: order.admin,
    firstEnrolmentKey: order.enrolmentKey,
    firstEnrolmentNotAfter: order.notAfter,
  });
  for (const purpose of ['identity', 'checkpoint'] as const) {
    const key = await services.workers.run({ kind: 'make-signing-key', tenantId, purpose });
    const owner = { address: ORGANISATION, generation: 1, kem: undefined };
    await custodyKeys.insertKey(tx, tenantId, { ...key, ...owner, purpose });
  }
  await makeOrganisationKey(tx, 1, DEFAULT_KEM, services);
}

/** `tenant.create`: on the operator's signed order. The same order again gives the same keys. */
export const createTenant: Handler<'tenant.create'> = async (params, services) => {
  const object = fromBase64Url(params.order);
  const order = readOrder(object, services.operatorKey);
  if (order.tenantId === PLATFORM || order.admin === ORGANISATION)
    throw new ProblemError('order_invalid', 'The order names a reserved tenant or address.');
  const orderHash = sha256(object);
  const { tenantId } = order;
  await services.store.createLog(tenantId, logOrigin(`${services.logPrefix}/custody`, tenantId));
  return {
    tenantId,
    async commit(tx) {
      const existing = await custodyTenants.findTenant(tx, tenantId);
      if (existing === undefined) await makeTenant(tx, order, orderHash, services);
      else if (!equalBytes(existing.orderHash, orderHash))
        throw new ProblemError('already_exists', 'There is such an organisation, by another order.');
      const result = tenantKeysOf(tx, await loadTenant(tx));
      const event = granted('tenant.create', 'operator', order.admin, {
        order: toBase64Url(orderHash),
        repeated: existing !== undefined,
      });
      return { result, events: [event] };
    },
  };
};
