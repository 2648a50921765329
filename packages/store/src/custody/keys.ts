/** Private keys, sealed under the root key. */
import type { Address, KemName, KeyId, TenantId } from '@astis/protocol';
import type { Tx } from '../database.ts';
import { bytes, idBytes, keyIdOf } from '../gateway/rows.ts';

export type CustodyKeyPurpose = 'identity' | 'checkpoint' | 'organisation' | 'holding';

export interface CustodyKey {
  readonly keyId: KeyId;
  readonly purpose: CustodyKeyPurpose;
  /** Whom a holding key is for; `organisation` for the others. */
  readonly address: Address;
  /** Counts up for each purpose and address, from 1. */
  readonly generation: number;
  /** Of organisation and holding keys. */
  readonly kem: KemName | undefined;
  readonly publicKey: Uint8Array;
  /** Undefined once destroyed. */
  readonly sealed: Uint8Array | undefined;
  /** Seconds since 1970. */
  readonly createdAt: number;
}

interface Row {
  readonly key_id: Buffer;
  readonly purpose: CustodyKeyPurpose;
  readonly address: string;
  readonly generation: number;
  readonly kem: KemName | null;
  readonly public_key: Buffer;
  readonly sealed: Buffer | null;
  readonly created_at: number;
}

const COLUMNS = `key_id, purpose, address, generation, kem, public_key, sealed,
  floor(extract(epoch from created_at))::bigint as created_at`;

const keyOf = (row: Row): CustodyKey => ({
  keyId: keyIdOf(row.key_id),
  purpose: row.purpose,
  address: row.address as Address,
  generation: row.generation,
  kem: row.kem ?? undefined,
  publicKey: bytes(row.public_key),
  sealed: row.sealed === null ? undefined : bytes(row.sealed),
  createdAt: row.created_at,
});

export async function findKeys(
  tx: Tx,
  tenantId: TenantId,
  keyIds: readonly KeyId[],
): Promise<ReadonlyMap<KeyId, CustodyKey>> {
  const rows = await tx.query<Row>(
    `select ${COLUMNS} from keys where tenant_id = $1 and key_id = any($2::bytea[])`,
    [tenantId, keyIds.map((id) => Buffer.from(idBytes(id)))],
    'custody.keys',
  );
  return new Map(rows.map(keyOf).map((key) => [key.keyId, key]));
}

export async function listKeys(
  tx: Tx,
  tenantId: TenantId,
  purpose: CustodyKeyPurpose,
  address: Address,
): Promise<readonly CustodyKey[]> {
  const rows = await tx.query<Row>(
    `select ${COLUMNS} from keys where tenant_id = $1 and purpose = $2 and address = $3 order by generation desc`,
    [tenantId, purpose, address],
    'custody.keys-of',
  );
  return rows.map(keyOf);
}

export async function insertKey(
  tx: Tx,
  tenantId: TenantId,
  key: Omit<CustodyKey, 'createdAt'> & { readonly sealed: Uint8Array },
): Promise<void> {
  await tx.query(
    `insert into keys (tenant_id, key_id, purpose, address, generation, kem, public_key, sealed)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      tenantId,
      idBytes(key.keyId),
      key.purpose,
      key.address,
      key.generation,
      key.kem ?? null,
      key.publicKey,
      key.sealed,
    ],
  );
}

export async function destroyKey(tx: Tx, tenantId: TenantId, keyId: KeyId): Promise<boolean> {
  const rows = await tx.query(
    `update keys set sealed = null, destroyed_at = clock_timestamp()
     where tenant_id = $1 and key_id = $2 and sealed is not null returning 1`,
    [tenantId, idBytes(keyId)],
  );
  return rows.length > 0;
}

/** Destroys holding keys that were made before `createdBefore` (seconds since 1970), at most a hundred at a time. */
export async function destroyOldHoldingKeys(
  tx: Tx,
  tenantId: TenantId,
  createdBefore: number,
): Promise<readonly { readonly keyId: KeyId; readonly address: Address }[]> {
  const rows = await tx.query<{ key_id: Buffer; address: string }>(
    `update keys set sealed = null, destroyed_at = clock_timestamp()
     where (tenant_id, key_id) in (
       select tenant_id, key_id from keys
       where tenant_id = $1 and purpose = 'holding' and sealed is not null and created_at < to_timestamp($2)
       limit 100)
     returning key_id, address`,
    [tenantId, createdBefore],
  );
  return rows.map((row) => ({ keyId: keyIdOf(row.key_id), address: row.address as Address }));
}

export async function countHoldingKeys(tx: Tx, tenantId: TenantId): Promise<number> {
  const [row] = await tx.query<{ n: number }>(
    `select count(*) as n from keys where tenant_id = $1 and purpose = 'holding' and sealed is not null`,
    [tenantId],
  );
  return row?.n ?? 0;
}
