/** What makes service messages and signed orders good for one use. */
import type { KeyId, TenantId } from '@astis/protocol';
import type { Tx } from '../database.ts';
import { idBytes } from '../gateway/rows.ts';

/** Uses a message's id up. False when it was used before. `expiresMs`: from then on its time refuses it anyway. */
export async function useMessageId(tx: Tx, id: Uint8Array, expiresMs: number): Promise<boolean> {
  const rows = await tx.query(
    `insert into message_ids (message_id, expires_at) values ($1, to_timestamp($2::float8 / 1000))
     on conflict do nothing returning 1`,
    [id, expiresMs],
    'custody.message-id',
  );
  // The first byte is random, so one message in 256 takes old ids away.
  if (id[0] === 0) {
    await tx.query(
      `delete from message_ids where message_id in (
         select message_id from message_ids where expires_at < clock_timestamp() - interval '1 minute'
         limit 10000 for update skip locked)`,
    );
  }
  return rows.length > 0;
}

/** What came of a signed object that was carried out before, or undefined. */
export async function carriedOut(tx: Tx, tenantId: TenantId, hash: Uint8Array): Promise<unknown> {
  const [row] = await tx.query<{ result: unknown }>(
    'select result from carried_out where tenant_id = $1 and object_hash = $2',
    [tenantId, hash],
    'custody.carried-out',
  );
  return row?.result;
}

/** Fails when the object was carried out before. */
export async function insertCarriedOut(
  tx: Tx,
  tenantId: TenantId,
  hash: Uint8Array,
  result: object,
): Promise<void> {
  await tx.query('insert into carried_out (tenant_id, object_hash, result) values ($1, $2, $3)', [
    tenantId,
    hash,
    JSON.stringify(result),
  ]);
}

/** Keeps the hash of a challenge's answer, in place of an earlier one for the same key. Times in seconds since 1970. */
export async function putChallenge(
  tx: Tx,
  tenantId: TenantId,
  kemKeyId: KeyId,
  answerHash: Uint8Array,
  notAfter: number,
): Promise<void> {
  await tx.query(
    `insert into challenges (tenant_id, kem_key_id, answer_hash, not_after)
     values ($1, $2, $3, to_timestamp($4))
     on conflict (tenant_id, kem_key_id) do update
       set answer_hash = excluded.answer_hash, not_after = excluded.not_after`,
    [tenantId, idBytes(kemKeyId), answerHash, notAfter],
  );
}

/** Takes the challenge away. True when there was one with this hash that had not lapsed. */
export async function takeChallenge(
  tx: Tx,
  tenantId: TenantId,
  kemKeyId: KeyId,
  answerHash: Uint8Array,
): Promise<boolean> {
  const rows = await tx.query(
    `delete from challenges
     where tenant_id = $1 and kem_key_id = $2 and answer_hash = $3 and not_after > clock_timestamp() returning 1`,
    [tenantId, idBytes(kemKeyId), answerHash],
  );
  return rows.length > 0;
}

/** Takes lapsed challenges away, and counts the others. */
export async function countChallenges(tx: Tx, tenantId: TenantId): Promise<number> {
  await tx.query('delete from challenges where tenant_id = $1 and not_after < clock_timestamp()', [tenantId]);
  const [row] = await tx.query<{ n: number }>('select count(*) as n from challenges where tenant_id = $1', [
    tenantId,
  ]);
  return row?.n ?? 0;
}
