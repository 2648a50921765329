import type { Address, KemPublicKey } from '@astis/protocol';
import {
  canonicalAddress,
  DEFAULT_KEM,
  fromBase64Url,
  ORGANISATION,
  ProblemError,
  parseTenantId,
  toBase64Url,
} from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { custodyCertificates, custodyKeys } from '@astis/store';
import { takeOrder } from '../authority/order.ts';
import type { Handler, Services } from '../calls/handler.ts';
import { granted, secondsOf } from '../calls/handler.ts';
import type { Issued } from '../enrolment/issue.ts';
import { issueCertificate } from '../enrolment/issue.ts';

/** Holding keys a tenant may have at a time. */
const MAX_HOLDING = 100_000;

/** The certificate that is given out for new capsules, while the key has half of its life before it. */
async function currentCertificate(
  tx: CustodyTx,
  address: Address,
  services: Services,
): Promise<Uint8Array | undefined> {
  const live = await custodyCertificates.liveCertificate(tx, tx.tenantId, address);
  if (live === undefined) return undefined;
  if (live.certificate.kind !== 'holding')
    throw new ProblemError('already_exists', 'The address has a key of its own. Seal to that.');
  const key = (await custodyKeys.findKeys(tx, tx.tenantId, [live.kemKeyId])).get(live.kemKeyId);
  const youngest = secondsOf(tx.nowMs) - services.holdingSeconds / 2;
  return key?.sealed !== undefined && key.createdAt > youngest ? live.bytes : undefined;
}

async function makeHoldingKey(tx: CustodyTx, address: Address, services: Services): Promise<Issued> {
  const { tenantId } = tx;
  if ((await custodyKeys.countHoldingKeys(tx, tenantId)) >= MAX_HOLDING)
    throw new ProblemError('rate_limited', 'The organisation holds too many keys for people without one.');
  const [newest] = await custodyKeys.listKeys(tx, tenantId, 'holding', address);
  const purpose = 'holding';
  const kem = DEFAULT_KEM;
  const key = await services.workers.run({ kind: 'make-kem-key', tenantId, purpose, kem });
  const generation = (newest?.generation ?? 0) + 1;
  await custodyKeys.insertKey(tx, tenantId, { ...key, purpose, address, generation, kem });
  const kemKey = key.publicKey as KemPublicKey;
  const fields = {
    address,
    kind: purpose,
    role: 'member',
    hardwareBacked: false,
    signingKey: undefined,
  } as const;
  return issueCertificate(tx, { ...fields, kem, kemKey }, services);
}

/**
 * `holding.create`: on the signed order of anybody in the organisation. An address has one key that new capsules are
 * wrapped to; an older one lives on for what was wrapped to it, until it expires.
 */
export const createHolding: Handler<'holding.create'> = async (params, services) => {
  const tenantId = parseTenantId(params.tenantId);
  const object = fromBase64Url(params.order);
  return {
    tenantId,
    async commit(tx) {
      const { order, signer, earlier, use } = await takeOrder(tx, object, 'holding-key', 'anyone');
      const address = canonicalAddress(order.subject);
      if (address === ORGANISATION)
        throw new ProblemError('order_invalid', 'The organisation has a key of its own.');
      const expired = await custodyKeys.destroyOldHoldingKeys(
        tx,
        tenantId,
        secondsOf(tx.nowMs) - services.holdingSeconds,
      );
      const current = await currentCertificate(tx, address, services);
      // Otherwise an old order could bring a key back to life that was destroyed since.
      if (earlier !== undefined && current === undefined)
        throw new ProblemError('order_replayed', 'The key of this order is gone. Sign a new order.');
      const bytes = current ?? (await makeHoldingKey(tx, address, services)).bytes;
      if (earlier === undefined) await use({});
      const event = granted('holding.create', signer.certificate.address, address, {
        repeated: current !== undefined,
      });
      const gone = expired.map((key) =>
        granted('holding.destroy', 'system', key.address, { key: key.keyId, expired: true }),
      );
      return { result: { certificate: toBase64Url(bytes) }, events: [event, ...gone] };
    },
  };
};
