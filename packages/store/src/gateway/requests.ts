/** What makes requests safe to repeat, and proofs impossible to. */
import { hash } from 'node:crypto';
import type { PersonId, TenantId } from '@astis/protocol';
import { equalBytes, ProblemError } from '@astis/protocol';
import type { Database, Tx } from '../database.ts';
import { bytes } from './rows.ts';

/** By what a proof's id is stored: 16 bytes. */
export const proofHash = (proofId: string): Uint8Array =>
  hash('sha256', proofId, { outputEncoding: 'buffer' }).subarray(0, 16);

/** Uses a proof's id up. Throws `proof_replayed` for one that was used before. */
export async function useProof(tx: Tx, tenantId: TenantId, proofId: string, expiresAt: Date): Promise<void> {
  const fresh = await tx.query(
    'insert into proof_ids (tenant_id, proof_hash, expires_at) values ($1, $2, $3) on conflict do nothing returning 1',
    [tenantId, proofHash(proofId), expiresAt],
    'proof.use',
  );
  if (fresh.length === 0) throw new ProblemError('proof_replayed', 'Sign a new proof for each request.');
}

export interface StoredAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * Begins a write under an idempotency key. Returns the stored answer of the same request, or undefined when it is to
 * be carried out now. An attempt that ended without an answer may be begun again after a minute.
 */
export async function beginIdempotent(
  tx: Tx,
  tenantId: TenantId,
  personId: PersonId,
  key: string,
  fingerprint: Uint8Array,
): Promise<StoredAnswer | undefined> {
  const begun = await tx.query(
    `insert into idempotency as i (tenant_id, person_id, key, fingerprint) values ($1, $2, $3, $4)
     on conflict (tenant_id, person_id, key) do update set created_at = clock_timestamp()
       where i.status is null and i.fingerprint = excluded.fingerprint
         and i.created_at < clock_timestamp() - interval '1 minute'
     returning 1`,
    [tenantId, personId, key, fingerprint],
  );
  if (begun.length > 0) return undefined;
  const [row] = await tx.query<{ fingerprint: Buffer; status: number | null; body: string | null }>(
    'select fingerprint, status, body from idempotency where tenant_id = $1 and person_id = $2 and key = $3',
    [tenantId, personId, key],
  );
  if (row === undefined || !equalBytes(bytes(row.fingerprint), fingerprint)) {
    throw new ProblemError('idempotency_mismatch', 'Use a new Idempotency-Key for another request.');
  }
  if (row.status === null || row.body === null) {
    throw new ProblemError('idempotency_in_progress', 'Wait for the first attempt to end, then ask again.');
  }
  return { status: row.status, body: row.body };
}

/** Files the answer of a request that succeeded or was refused for good; `undefined` forgets the attempt. */
export async function endIdempotent(
  tx: Tx,
  tenantId: TenantId,
  personId: PersonId,
  key: string,
  answer: StoredAnswer | undefined,
): Promise<void> {
  if (answer === undefined) {
    await tx.query('delete from idempotency where tenant_id = $1 and person_id = $2 and key = $3', [
      tenantId,
      personId,
      key,
    ]);
    return;
  }
  await tx.query(
    'update idempotency set status = $4, body = $5 where tenant_id = $1 and person_id = $2 and key = $3',
    [tenantId, personId, key, answer.status, answer.body],
  );
}

/** Forgets proofs that are past their time and answers older than a day. */
export async function forgetOldRequests(tx: Tx, tenantId: TenantId): Promise<void> {
  await tx.query('delete from proof_ids where tenant_id = $1 and expires_at < clock_timestamp()', [tenantId]);
  await tx.query(
    "delete from idempotency where tenant_id = $1 and created_at < clock_timestamp() - interval '1 day'",
    [tenantId],
  );
}

/** Every tenant, for the work that is done now and then. */
export async function tenantsToAttend(database: Database): Promise<readonly TenantId[]> {
  const rows = await database.query<{ id: TenantId }>('select tenants_to_attend() as id');
  return rows.map((row) => row.id);
}

/**
 * Notes what the database's clock shows. Done every few seconds, so that a clock which steps back stops releases of
 * those tenants too in whose logs nothing happened meanwhile.
 */
export async function noteClock(database: Database): Promise<void> {
  await database.query('select note_clock()');
}

/** The database's clock, milliseconds since 1970. */
export async function databaseNow(tx: Tx): Promise<number> {
  const [row] = await tx.query<{ now: number }>(
    'select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now',
  );
  if (row === undefined) throw new ProblemError('store_unavailable', 'The store does not tell the time.');
  return row.now;
}
