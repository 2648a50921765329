import type { KemName, KemPublicKey } from '@astis/protocol';
import { ORGANISATION } from '@astis/protocol';
import type { CustodyTx } from '@astis/store';
import { custodyKeys } from '@astis/store';
import type { Services } from '../calls/handler.ts';
import type { Issued } from '../enrolment/issue.ts';
import { issueCertificate } from '../enrolment/issue.ts';

/** Makes the organisation's recovery key of this generation, and its certificate. */
export async function makeOrganisationKey(
  tx: CustodyTx,
  generation: number,
  kem: KemName,
  services: Services,
): Promise<Issued> {
  const { tenantId } = tx;
  const purpose = 'organisation';
  const key = await services.workers.run({ kind: 'make-kem-key', tenantId, purpose, kem });
  await custodyKeys.insertKey(tx, tenantId, { ...key, purpose, address: ORGANISATION, generation, kem });
  return issueCertificate(
    tx,
    {
      address: ORGANISATION,
      kind: purpose,
      role: 'member',
      hardwareBacked: false,
      signingKey: undefined,
      kem,
      kemKey: key.publicKey as KemPublicKey,
    },
    services,
  );
}
