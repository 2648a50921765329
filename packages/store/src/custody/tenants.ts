/** A tenant as the CVS knows it: from whose order, under which first admin, and how far its log is signed. */
import { ZERO_HASH } from '@astis/audit';
import type { Address, SigningPublicKey, TenantId } from '@astis/protocol';
import type { Tx } from '../database.ts';
import { bytes } from '../gateway/rows.ts';

export interface CustodyTenant {
  readonly name: string;
  /** Of the gateway's log, whose checkpoints the CVS signs. */
  readonly logOrigin: string;
  /** SHA-256 of the operator's order. */
  readonly orderHash: Uint8Array;
  readonly firstAdmin: Address;
  readonly firstEnrolmentKey: SigningPublicKey;
  /** Seconds since 1970. */
  readonly firstEnrolmentNotAfter: number;
}

interface Row {
  readonly name: string;
  readonly log_origin: string;
  readonly order_hash: Buffer;
  readonly first_admin: string;
  readonly first_enrolment_key: Buffer;
  readonly not_after: number;
}

/** Makes the tenant's log, if it isn't there: refusals are logged before there is a tenant. */
export async function ensureLog(tx: Tx, tenantId: TenantId, origin: string): Promise<void> {
  await tx.query(
    'insert into log_heads (tenant_id, log_origin, last_hash) values ($1, $2, $3) on conflict do nothing',
    [tenantId, origin, ZERO_HASH],
  );
}

export async function findTenant(tx: Tx, tenantId: TenantId): Promise<CustodyTenant | undefined> {
  const [row] = await tx.query<Row>(
    `select name, log_origin, order_hash, first_admin, first_enrolment_key,
       extract(epoch from first_enrolment_not_after)::bigint as not_after
     from tenants where tenant_id = $1`,
    [tenantId],
    'custody.tenant',
  );
  if (row === undefined) return undefined;
  return {
    name: row.name,
    logOrigin: row.log_origin,
    orderHash: bytes(row.order_hash),
    firstAdmin: row.first_admin as Address,
    firstEnrolmentKey: bytes(row.first_enrolment_key) as SigningPublicKey,
    firstEnrolmentNotAfter: row.not_after,
  };
}

export async function insertTenant(tx: Tx, tenantId: TenantId, tenant: CustodyTenant): Promise<void> {
  await tx.query(
    `insert into tenants
       (tenant_id, name, log_origin, order_hash, first_admin, first_enrolment_key, first_enrolment_not_after)
     values ($1, $2, $3, $4, $5, $6, to_timestamp($7))`,
    [
      tenantId,
      tenant.name,
      tenant.logOrigin,
      tenant.orderHash,
      tenant.firstAdmin,
      tenant.firstEnrolmentKey,
      tenant.firstEnrolmentNotAfter,
    ],
  );
}

export async function takeSerial(tx: Tx, tenantId: TenantId): Promise<number> {
  const [row] = await tx.query<{ serial: number }>(
    'update tenants set next_serial = next_serial + 1 where tenant_id = $1 returning next_serial - 1 as serial',
    [tenantId],
  );
  if (row === undefined) throw new Error('a serial for a tenant that is none');
  return row.serial;
}

export interface SignedHead {
  /** 0 before the first checkpoint. */
  readonly size: number;
  readonly root: Uint8Array | undefined;
}

export async function signedHead(tx: Tx, tenantId: TenantId): Promise<SignedHead> {
  const [row] = await tx.query<{ signed_size: number; signed_root: Buffer | null }>(
    'select signed_size, signed_root from tenants where tenant_id = $1',
    [tenantId],
    'custody.signed-head',
  );
  return { size: row?.signed_size ?? 0, root: row?.signed_root ? bytes(row.signed_root) : undefined };
}

export async function setSignedHead(
  tx: Tx,
  tenantId: TenantId,
  size: number,
  root: Uint8Array,
): Promise<void> {
  await tx.query('update tenants set signed_size = $2, signed_root = $3 where tenant_id = $1', [
    tenantId,
    size,
    root,
  ]);
}
