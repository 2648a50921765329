import { fromBase64Url, ORGANISATION, ProblemError, parseTenantId } from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { takeOrder } from '../authority/order.ts';
import type { Handler } from '../calls/handler.ts';
import { secondsOf } from '../calls/handler.ts';
import { readCapsules, recordsFor, stillHolds, turnCapsules } from '../rewrap/turn.ts';
import { loadTenant, sealedKey } from '../tenants/tenant.ts';

/** A fresh order of a live admin's, never carried out before. */
async function freshOrder(tx: CustodyTx, object: Uint8Array) {
  const taken = await takeOrder(tx, object, 'recover', 'admin');
  if (taken.earlier !== undefined)
    throw new ProblemError('order_replayed', 'This order was carried out. Sign a new one to recover again.');
  return taken;
}

/**
 * `recover`: organisation key to the admin who signed the order, for the artifact that the order names, once. No
 * gateway chooses the target, and the admin's name stands in the log and in the link that the recipient sees.
 */
export const recover: Handler<'recover'> = async (params, services) => {
  const tenantId = parseTenantId(params.tenantId);
  const object = fromBase64Url(params.order);
  const capsules = readCapsules([params.capsule]);
  const view = await services.store.read(tenantId, async (tx) => {
    const tenant = await loadTenant(tx);
    const { order, signer } = await freshOrder(tx, object);
    return { ...tenant, order, signer, records: await recordsFor(tx, capsules), now: secondsOf(tx.nowMs) };
  });
  const { order, signer } = view;
  const turn = {
    tenantId,
    identityKey: view.identityKey,
    target: signer,
    from: ORGANISATION,
    mayUse(key: { readonly purpose: string }) {
      if (key.purpose !== 'organisation')
        throw new ProblemError('target_refused', 'Only what was sealed to the organisation is recovered.');
    },
    isAbout({ artifactId }: { readonly artifactId: string }) {
      if (artifactId !== order.subject)
        throw new ProblemError('order_invalid', 'The order is for another artifact.');
    },
    now: view.now,
    oldestHolding: view.now,
  };
  const audit = { method: 'recover', actor: signer.certificate.address } as const;
  const identity = sealedKey(view.identity);
  const turned = await turnCapsules(capsules, turn, view.records, identity, audit, services.workers);
  const [result] = turned.results;
  if (result === undefined) throw new Error('a recovery without an outcome');
  return {
    tenantId,
    async commit(tx) {
      // Once more under the lock: two calls with one order end here, and a refused one doesn't use it up.
      const { use } = await freshOrder(tx, object);
      await stillHolds(tx, turn, turned.used);
      if (result.refused === undefined) await use({});
      return { result, events: turned.events };
    },
  };
};
