/** Reading a tenant's log: pages, the export's stream, the hashes that proofs are made of, and its size. */
import type { ExportableEntry, FetchNodes } from '@astis/audit';
import type { TenantId } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import type { Database, Parameter, Tx } from '../database.ts';

export interface LogFilter {
  readonly kind?: string;
  readonly actor?: string;
  readonly subject?: string;
}

export interface ListedEntry extends ExportableEntry {
  readonly kind: string;
}

interface EntryRow {
  readonly seq: number;
  readonly time_ms: number;
  readonly prev: Buffer | null;
  readonly commitment: Buffer;
  readonly salt: Buffer | null;
  readonly event: string | null;
  readonly kind: string;
}

const ZERO = new Uint8Array(32);

const entryOf = (row: EntryRow): ListedEntry => ({
  seq: row.seq,
  timeMs: row.time_ms,
  prev: row.prev === null ? ZERO : new Uint8Array(row.prev),
  commitment: new Uint8Array(row.commitment),
  kind: row.kind,
  ...(row.salt === null || row.event === null
    ? {}
    : { disclosed: { salt: new Uint8Array(row.salt), event: row.event } }),
});

const COLUMNS = `e.seq, e.time_ms, p.leaf_hash as prev, e.commitment, e.salt, e.event, e.kind
  from audit_entries e left join audit_entries p on p.tenant_id = e.tenant_id and p.seq = e.seq - 1`;

/** `after` < seq < `before`, newest first or oldest first. */
export async function listEntries(
  tx: Tx,
  tenantId: TenantId,
  filter: LogFilter,
  page: {
    readonly before?: number;
    readonly after?: number;
    readonly limit: number;
    readonly newestFirst: boolean;
  },
): Promise<readonly ListedEntry[]> {
  const parameters: Parameter[] = [tenantId];
  const conditions = ['e.tenant_id = $1'];
  const add = (sql: string, value: Parameter | undefined) => {
    if (value !== undefined) conditions.push(`${sql} $${parameters.push(value)}`);
  };
  add('e.kind =', filter.kind);
  add('e.actor =', filter.actor);
  add('e.subject =', filter.subject);
  add('e.seq <', page.before);
  add('e.seq >', page.after);
  const rows = await tx.query<EntryRow>(
    `select ${COLUMNS} where ${conditions.join(' and ')} order by e.seq ${page.newestFirst ? 'desc' : 'asc'} limit ${page.limit}`,
    parameters,
  );
  return rows.map(entryOf);
}

/** All entries from `from` to `to` (excluded), a thousand at a time. */
export async function* streamEntries(
  database: Database,
  tenantId: TenantId,
  from: number,
  to: number,
): AsyncGenerator<ListedEntry> {
  for (let after = from - 1; after < to - 1; ) {
    const at = after;
    const rows = await database.transaction(tenantId, (tx) =>
      listEntries(tx, tenantId, {}, { after: at, before: to, limit: 1000, newestFirst: false }),
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    yield* rows;
    after = last.seq;
  }
}

/** Reads hashes for `inclusionProof` and `consistencyProof`. */
export const nodeReader =
  (tx: Tx, tenantId: TenantId): FetchNodes =>
  async (level, start, end) => {
    const rows =
      level === 0
        ? await tx.query<{ hash: Buffer }>(
            'select leaf_hash as hash from audit_entries where tenant_id = $1 and seq >= $2 and seq < $3 order by seq',
            [tenantId, start, end],
          )
        : await tx.query<{ hash: Buffer }>(
            'select hash from log_nodes where tenant_id = $1 and level = $4 and index >= $2 and index < $3 order by index',
            [tenantId, start, end, level],
          );
    return rows.map((row) => new Uint8Array(row.hash));
  };

export interface LogSize {
  readonly origin: string;
  readonly size: number;
  readonly frontier: readonly Uint8Array[];
}

export async function logSize(tx: Tx, tenantId: TenantId): Promise<LogSize> {
  const [row] = await tx.query<{ log_origin: string; size: number; frontier: Buffer }>(
    'select log_origin, size, frontier from log_heads where tenant_id = $1',
    [tenantId],
  );
  if (row === undefined) throw new ProblemError('not_found', 'There is no such organisation.');
  const frontier: Uint8Array[] = [];
  for (let at = 0; at < row.frontier.length; at += 32)
    frontier.push(new Uint8Array(row.frontier.subarray(at, at + 32)));
  return { origin: row.log_origin, size: row.size, frontier };
}
