/** Custody orders: what people order of the CVS itself, each good for one use. */
import { hash } from 'node:crypto';
import { CryptoError } from '@astis/crypto';
import type { CustodyOrder } from '@astis/protocol';
import { concat, decodeCustodyOrder, ProblemError, toBase64Url, utf8 } from '@astis/protocol';
import type { CustodyTx, IssuedCertificate } from '@astis/store';
import { custodyRequests } from '@astis/store';
import { secondsOf } from '../calls/handler.ts';
import { signedByMember } from './signer.ts';

/** How far the clock of the one who signs may be from ours, the way to us included. */
export const ORDER_SKEW_SECONDS = 300;

export interface TakenOrder {
  readonly order: CustodyOrder;
  readonly signer: IssuedCertificate;
  /** What came of this very order before. Undefined for a fresh one. */
  readonly earlier: unknown;
  /** Uses the order up. The result is what {@link earlier} gives from then on. */
  use(result: object): Promise<void>;
}

export const sha256 = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(hash('sha256', concat(...parts), 'buffer'));

const stale = (): ProblemError =>
  new ProblemError('order_invalid', 'The order is too old, or of a clock that runs ahead. Sign a new one.');

interface Used {
  readonly order: string;
  readonly result: unknown;
}

const isUsed = (value: unknown): value is Used =>
  typeof value === 'object' && value !== null && 'order' in value && 'result' in value;

async function readOrder(tx: CustodyTx, object: Uint8Array, role: 'admin' | 'anyone') {
  try {
    return await signedByMember(tx, object, 'astis/custody-order', role, 'order_invalid');
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new ProblemError('order_invalid', 'The signature on the order does not hold.');
  }
}

/**
 * Checks an order: who signed it, that it is for this tenant and this action, that it is fresh or was carried out
 * before. A nonce that stands in another order is refused.
 * @throws ProblemError `order_invalid`, `order_replayed`, `key_revoked`; ProtocolError
 */
export async function takeOrder(
  tx: CustodyTx,
  object: Uint8Array,
  action: CustodyOrder['action'],
  role: 'admin' | 'anyone',
): Promise<TakenOrder> {
  const { payload, signer } = await readOrder(tx, object, role);
  const order = decodeCustodyOrder(payload);
  if (order.tenantId !== tx.tenantId || order.action !== action)
    throw new ProblemError('order_invalid', 'The order is for something else.');
  const orderHash = toBase64Url(sha256(object));
  const nonce = sha256(utf8('astis/v1 order nonce'), order.nonce);
  const used = await custodyRequests.carriedOut(tx, tx.tenantId, nonce);
  if (used !== undefined && !(isUsed(used) && used.order === orderHash))
    throw new ProblemError('order_replayed', 'The nonce of this order was used before.');
  if (used === undefined && Math.abs(order.at - secondsOf(tx.nowMs)) > ORDER_SKEW_SECONDS) throw stale();
  return {
    order,
    signer,
    earlier: used?.result,
    use: (result) => custodyRequests.insertCarriedOut(tx, tx.tenantId, nonce, { order: orderHash, result }),
  };
}
