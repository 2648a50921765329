import { CryptoError } from '@astis/crypto';
import type { KeyRevocation } from '@astis/protocol';
import { decodeRevocation, fromBase64Url, ProblemError, parseTenantId } from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { custodyCertificates } from '@astis/store';
import { ORDER_SKEW_SECONDS } from '../authority/order.ts';
import { signedByMember } from '../authority/signer.ts';
import type { Handler } from '../calls/handler.ts';
import { granted, secondsOf } from '../calls/handler.ts';

interface SignedRevocation {
  readonly revocation: KeyRevocation;
  readonly by: string;
}

async function readRevocation(tx: CustodyTx, object: Uint8Array): Promise<SignedRevocation> {
  try {
    const signed = await signedByMember(tx, object, 'astis/key-revocation', 'admin', 'order_invalid');
    return { revocation: decodeRevocation(signed.payload), by: signed.signer.certificate.address };
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new ProblemError('order_invalid', 'The signature on the revocation does not hold.');
  }
}

async function checkAdminRemains(tx: CustodyTx, serial: number): Promise<void> {
  const live = await custodyCertificates.liveSigners(tx, tx.tenantId);
  const admins = live.filter(({ certificate }) => certificate.role === 'admin');
  if (admins.length === 1 && admins[0]?.certificate.serial === serial)
    throw new ProblemError('forbidden', 'The last admin can not be removed. Enrol another admin first.');
}

/**
 * `key.revoke`: on an admin's signature. The certificate ends at the time that the admin signed, which may lie in the
 * past ("the laptop was stolen on Monday"): statements dated from then on don't count. A revocation never gets stale,
 * since holding it back is all that delay could be good for.
 */
export const revokeKey: Handler<'key.revoke'> = async (params) => {
  const tenantId = parseTenantId(params.tenantId);
  const object = fromBase64Url(params.revocation);
  return {
    tenantId,
    async commit(tx) {
      const { revocation, by } = await readRevocation(tx, object);
      const { address, serial, at } = revocation;
      const now = secondsOf(tx.nowMs);
      if (revocation.tenantId !== tenantId || at > now + ORDER_SKEW_SECONDS)
        throw new ProblemError(
          'order_invalid',
          'The revocation is of another organisation, or of the future.',
        );
      const issued = (await custodyCertificates.findCertificates(tx, tenantId, [serial])).get(serial);
      if (issued?.certificate.address !== address || issued.signingKeyId === undefined)
        throw new ProblemError('not_found', 'There is no such certificate of a person or service.');
      await checkAdminRemains(tx, serial);
      await custodyCertificates.endCertificate(tx, tenantId, serial, Math.min(at, now), true);
      const event = granted('key.revoke', by, address, { serial, repeated: issued.revoked });
      return { result: { revoked: true }, events: [event] };
    },
  };
};
