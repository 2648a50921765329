/** Who may enrol: what an admin's grant says, or the tenant order for the very first admin. */
import { CryptoError } from '@astis/crypto';
import type { EnrolmentGrant } from '@astis/protocol';
import { decodeGrant, ORGANISATION, ProblemError } from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { signedByMember } from '../authority/signer.ts';
import { secondsOf } from '../calls/handler.ts';
import type { TenantView } from '../tenants/tenant.ts';

export interface Admission {
  readonly grant: Omit<EnrolmentGrant, 'tenantId'>;
  /** `operator`, or the admin's address. */
  readonly by: string;
}

async function grantOf(tx: CustodyTx, object: Uint8Array): Promise<Admission> {
  try {
    const signed = await signedByMember(tx, object, 'astis/enrolment-grant', 'admin', 'grant_invalid');
    const { tenantId, ...grant } = decodeGrant(signed.payload);
    if (tenantId !== tx.tenantId)
      throw new ProblemError('grant_invalid', 'The grant is of another organisation.');
    return { grant, by: signed.signer.certificate.address };
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new ProblemError('grant_invalid', 'The signature on the grant does not hold.');
  }
}

/** @throws ProblemError `grant_invalid`, `key_revoked` when the admin's key does not count any more; ProtocolError */
export async function readAdmission(
  tx: CustodyTx,
  object: Uint8Array | undefined,
  { tenant }: TenantView,
): Promise<Admission> {
  const admission: Admission =
    object === undefined
      ? {
          grant: {
            address: tenant.firstAdmin,
            enrolmentKey: tenant.firstEnrolmentKey,
            kind: 'person',
            role: 'admin',
            hardwareBacked: false,
            notAfter: tenant.firstEnrolmentNotAfter,
          },
          by: 'operator',
        }
      : await grantOf(tx, object);
  // A person of that name would be sent what the organisation's own key holds.
  if (admission.grant.address === ORGANISATION)
    throw new ProblemError('grant_invalid', 'The address is reserved for the organisation itself.');
  if (admission.grant.notAfter <= secondsOf(tx.nowMs))
    throw new ProblemError('grant_invalid', 'The grant has lapsed. An admin can make a new one.');
  return admission;
}
