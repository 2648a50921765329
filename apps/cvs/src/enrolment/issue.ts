/** Issuing certificates: the only place where the organisation's identity key is asked to certify. */
import type { KeyCertificate } from '@astis/protocol';
import { encodeCertificate, ORGANISATION } from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { custodyCertificates, custodyKeys, custodyTenants } from '@astis/store';
import type { Services } from '../calls/handler.ts';
import { secondsOf } from '../calls/handler.ts';
import { sealedKey } from '../tenants/tenant.ts';

export interface Issued {
  readonly certificate: KeyCertificate;
  readonly bytes: Uint8Array;
}

/**
 * Ends the address's live certificate, as followed by a newer one, and issues the next. Runs under the lock of the
 * tenant's log, so serials have no gap that stays and no address has two live certificates.
 */
export async function issueCertificate(
  tx: CustodyTx,
  fields: Omit<KeyCertificate, 'tenantId' | 'issuedAt' | 'serial'>,
  services: Services,
): Promise<Issued> {
  const { tenantId } = tx;
  const now = secondsOf(tx.nowMs);
  const before = await custodyCertificates.liveCertificate(tx, tenantId, fields.address);
  if (before !== undefined)
    await custodyCertificates.endCertificate(tx, tenantId, before.certificate.serial, now, false);
  const serial = await custodyTenants.takeSerial(tx, tenantId);
  const certificate: KeyCertificate = { ...fields, tenantId, issuedAt: now, serial };
  const [identity] = await custodyKeys.listKeys(tx, tenantId, 'identity', ORGANISATION);
  if (identity === undefined) throw new Error('a tenant without an identity key');
  const bytes = await services.workers.run({
    kind: 'certify',
    tenantId,
    identity: sealedKey(identity),
    payload: encodeCertificate(certificate),
  });
  await custodyCertificates.insertCertificate(tx, tenantId, certificate, bytes);
  return { certificate, bytes };
}
