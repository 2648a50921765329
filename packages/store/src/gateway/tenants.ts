/** Tenants, their domains, and the newest checkpoint of their log. */
import { randomBytes } from 'node:crypto';
import type { TenantId } from '@astis/protocol';
import { equalBytes, ProblemError, toBase64Url } from '@astis/protocol';
import type { Tx } from '../database.ts';
import { violates } from '../database.ts';
import { createLog } from '../log/sequencer.ts';
import { bytes } from './rows.ts';

export interface TenantRecord {
  readonly tenantId: TenantId;
  readonly name: string;
  readonly identityKey: Uint8Array;
  readonly checkpointKey: string;
  readonly logOrigin: string;
}

interface TenantRow {
  readonly tenant_id: TenantId;
  readonly name: string;
  readonly identity_key: Buffer;
  readonly checkpoint_key: string;
  readonly order_hash: Buffer;
  readonly log_origin: string;
}

const SELECT =
  'select t.*, h.log_origin from tenants t join log_heads h using (tenant_id) where t.tenant_id = $1';

const recordOf = (row: TenantRow): TenantRecord => ({
  tenantId: row.tenant_id,
  name: row.name,
  identityKey: bytes(row.identity_key),
  checkpointKey: row.checkpoint_key,
  logOrigin: row.log_origin,
});

export async function getTenant(tx: Tx, tenantId: TenantId): Promise<TenantRecord> {
  const [row] = await tx.query<TenantRow>(SELECT, [tenantId]);
  if (row === undefined) throw new ProblemError('not_found', 'There is no such organisation.');
  return recordOf(row);
}

/** Makes the tenant and its empty log. False when it is there already by the same order. */
export async function createTenant(
  tx: Tx,
  tenant: TenantRecord,
  domain: string,
  orderHash: Uint8Array,
): Promise<boolean> {
  const [known] = await tx.query<TenantRow>(SELECT, [tenant.tenantId]);
  if (known !== undefined) {
    if (equalBytes(bytes(known.order_hash), orderHash)) return false;
    throw new ProblemError(
      'already_exists',
      'An organisation with this id exists; make a new order with a new id.',
    );
  }
  await tx.query(
    'insert into tenants (tenant_id, name, identity_key, checkpoint_key, order_hash) values ($1, $2, $3, $4, $5)',
    [tenant.tenantId, tenant.name, tenant.identityKey, tenant.checkpointKey, orderHash],
  );
  await createLog(tx, tenant.tenantId, tenant.logOrigin);
  await addDomain(tx, tenant.tenantId, domain);
  await claimDomain(tx, tenant.tenantId, domain);
  return true;
}

export interface DomainRecord {
  readonly domain: string;
  readonly challenge: string;
  readonly verified: boolean;
}

const DOMAIN_COLUMNS = 'domain, challenge, verified_at is not null as verified';

/** Adds a domain that is still to be proved; one that stands there keeps its challenge. */
export async function addDomain(tx: Tx, tenantId: TenantId, domain: string): Promise<DomainRecord> {
  await tx.query(
    'insert into domains (tenant_id, domain, challenge) values ($1, $2, $3) on conflict do nothing',
    [tenantId, domain, toBase64Url(randomBytes(24))],
  );
  return getDomain(tx, tenantId, domain);
}

export async function getDomain(tx: Tx, tenantId: TenantId, domain: string): Promise<DomainRecord> {
  const [row] = await tx.query<DomainRecord>(
    `select ${DOMAIN_COLUMNS} from domains where tenant_id = $1 and domain = $2`,
    [tenantId, domain],
  );
  if (row === undefined) throw new ProblemError('not_found', 'There is no such domain here. Add it first.');
  return row;
}

export const listDomains = (tx: Tx, tenantId: TenantId): Promise<readonly DomainRecord[]> =>
  tx.query<DomainRecord>(`select ${DOMAIN_COLUMNS} from domains where tenant_id = $1 order by domain`, [
    tenantId,
  ]);

/** Makes a proved domain the tenant's. A domain is one tenant's at a time. */
export async function claimDomain(tx: Tx, tenantId: TenantId, domain: string): Promise<void> {
  const { verified } = await getDomain(tx, tenantId, domain);
  if (verified) return;
  try {
    await tx.query('insert into domain_claims (domain, tenant_id) values ($1, $2)', [domain, tenantId]);
  } catch (error) {
    if (!violates(error, 'domain_claims_pkey')) throw error;
    throw new ProblemError('domain_taken', 'This domain can not be claimed here. Ask the operator.');
  }
  await tx.query('update domains set verified_at = clock_timestamp() where tenant_id = $1 and domain = $2', [
    tenantId,
    domain,
  ]);
}

export async function isProvedDomain(tx: Tx, tenantId: TenantId, domain: string): Promise<boolean> {
  const rows = await tx.query('select 1 from domain_claims where tenant_id = $1 and domain = $2', [
    tenantId,
    domain,
  ]);
  return rows.length > 0;
}

export async function newestCheckpoint(
  tx: Tx,
  tenantId: TenantId,
): Promise<{ readonly size: number; readonly note: string } | undefined> {
  const [row] = await tx.query<{ size: number; note: string }>(
    'select size, note from checkpoints where tenant_id = $1 order by size desc limit 1',
    [tenantId],
  );
  return row;
}

export async function saveCheckpoint(tx: Tx, tenantId: TenantId, size: number, note: string): Promise<void> {
  await tx.query(
    'insert into checkpoints (tenant_id, size, note) values ($1, $2, $3) on conflict do nothing',
    [tenantId, size, note],
  );
}
