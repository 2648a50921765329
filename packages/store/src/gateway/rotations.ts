/** Rotations of the organisation's key: where each has got to, so that it goes on after a crash. */
import type { KeyId, TenantId } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import type { Tx } from '../database.ts';
import type { Listing } from './rows.ts';
import { idBytes, keyIdOf, pageOf } from './rows.ts';

export interface RotationRecord {
  readonly id: string;
  readonly fromKeyId: KeyId;
  readonly toKeyId: KeyId;
  readonly status: 'running' | 'done' | 'failed';
  readonly total: number;
  readonly done: number;
  readonly startedAt: Date;
  readonly finishedAt: Date | undefined;
}

interface RotationRow {
  readonly rotation_id: string;
  readonly from_key_id: Buffer;
  readonly to_key_id: Buffer;
  readonly status: RotationRecord['status'];
  readonly total: number;
  readonly done: number;
  readonly started_at: Date;
  readonly finished_at: Date | null;
}

const recordOf = (row: RotationRow): RotationRecord => ({
  id: row.rotation_id,
  fromKeyId: keyIdOf(row.from_key_id),
  toKeyId: keyIdOf(row.to_key_id),
  status: row.status,
  total: row.total,
  done: row.done,
  startedAt: row.started_at,
  finishedAt: row.finished_at ?? undefined,
});

export async function startRotation(
  tx: Tx,
  tenantId: TenantId,
  rotation: Pick<RotationRecord, 'id' | 'fromKeyId' | 'toKeyId' | 'total'>,
): Promise<RotationRecord> {
  await tx.query(
    `insert into rotations (tenant_id, rotation_id, from_key_id, to_key_id, status, total)
     values ($1, $2, $3, $4, 'running', $5)`,
    [tenantId, rotation.id, idBytes(rotation.fromKeyId), idBytes(rotation.toKeyId), rotation.total],
  );
  return getRotation(tx, tenantId, rotation.id);
}

export async function getRotation(tx: Tx, tenantId: TenantId, id: string): Promise<RotationRecord> {
  const [row] = await tx.query<RotationRow>(
    'select * from rotations where tenant_id = $1 and rotation_id = $2',
    [tenantId, id],
  );
  if (row === undefined) throw new ProblemError('not_found', 'There is no such rotation here.');
  return recordOf(row);
}

/** Newest first. */
export async function listRotations(
  tx: Tx,
  tenantId: TenantId,
  page: { readonly cursor?: string; readonly limit: number },
): Promise<Listing<RotationRecord>> {
  const rows = await tx.query<RotationRow>(
    `select * from rotations where tenant_id = $1 and ($2::uuid is null or (started_at, rotation_id) <
       (select b.started_at, b.rotation_id from rotations b where b.tenant_id = $1 and b.rotation_id = $2))
     order by started_at desc, rotation_id desc limit ${page.limit + 1}`,
    [tenantId, page.cursor ?? null],
  );
  return pageOf(rows, page.limit, recordOf, (row) => row.rotation_id);
}

export const runningRotations = async (tx: Tx, tenantId: TenantId): Promise<readonly RotationRecord[]> =>
  (
    await tx.query<RotationRow>(
      "select * from rotations where tenant_id = $1 and status = 'running' order by started_at",
      [tenantId],
    )
  ).map(recordOf);

export async function advanceRotation(
  tx: Tx,
  tenantId: TenantId,
  id: string,
  step: { readonly done: number; readonly status: RotationRecord['status'] },
): Promise<void> {
  await tx.query(
    `update rotations set done = done + $3, status = $4,
       finished_at = case when $4 = 'running' then null else clock_timestamp() end
     where tenant_id = $1 and rotation_id = $2`,
    [tenantId, id, step.done, step.status],
  );
}
