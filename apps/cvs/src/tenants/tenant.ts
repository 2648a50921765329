/** A tenant's standing keys, and how callers see them. */
import { formatVerifierKey, verifierKey } from '@astis/audit';
import type { CustodyResult, SigningPublicKey } from '@astis/protocol';
import { ORGANISATION, ProblemError, toBase64Url } from '@astis/protocol';
import type { CustodyKey, CustodyTenant, CustodyTx, IssuedCertificate } from '@astis/store';
import { custodyCertificates, custodyKeys, custodyTenants } from '@astis/store';
import type { SealedKey } from '../worker/jobs.ts';

export interface TenantView {
  readonly tenant: CustodyTenant;
  readonly identity: CustodyKey;
  readonly identityKey: SigningPublicKey;
  readonly checkpoint: CustodyKey;
  /** Certificate of the newest organisation key. */
  readonly organisation: IssuedCertificate;
}

/** A key in the form that workers take. @throws ProblemError `key_destroyed` */
export function sealedKey({ keyId, purpose, sealed }: CustodyKey): SealedKey {
  if (sealed === undefined) throw new ProblemError('key_destroyed', 'The key was destroyed.');
  return { keyId, purpose, sealed };
}

const absent = (): ProblemError => new ProblemError('not_found', 'There is no such organisation.');

/** @throws ProblemError `not_found` */
export async function loadTenant(tx: CustodyTx): Promise<TenantView> {
  const tenant = await custodyTenants.findTenant(tx, tx.tenantId);
  const [identity] = await custodyKeys.listKeys(tx, tx.tenantId, 'identity', ORGANISATION);
  const [checkpoint] = await custodyKeys.listKeys(tx, tx.tenantId, 'checkpoint', ORGANISATION);
  const organisation = await custodyCertificates.liveCertificate(tx, tx.tenantId, ORGANISATION);
  if (
    tenant === undefined ||
    identity === undefined ||
    checkpoint === undefined ||
    organisation === undefined
  ) {
    throw absent();
  }
  // Written by insertKey with what a worker made: the public half of an Ed25519 key.
  const identityKey = identity.publicKey as SigningPublicKey;
  return { tenant, identity, identityKey, checkpoint, organisation };
}

export const tenantKeysOf = (tx: CustodyTx, view: TenantView): CustodyResult<'tenant.keys'> => ({
  tenantId: tx.tenantId,
  identityKey: toBase64Url(view.identityKey),
  checkpointKey: formatVerifierKey(verifierKey(view.tenant.logOrigin, view.checkpoint.publicKey)),
  logOrigin: view.tenant.logOrigin,
  organisationCertificate: toBase64Url(view.organisation.bytes),
});
