/**
 * The sequencer of each tenant's log. Whatever is to be logged runs as a job: its own writes and its entries are
 * one transaction. All jobs that wait for a tenant go into the same transaction (group commit), and the lock on the
 * log's head puts the transactions of different processes in order. No commit, no result.
 */

import { randomBytes } from 'node:crypto';
import type { AppendedBatch, AppendedEntry, JsonObject, LogHead } from '@astis/audit';
import { appendEvents, SALT_BYTES, ZERO_HASH } from '@astis/audit';
import type { TenantId } from '@astis/protocol';
import { concat, ProblemError } from '@astis/protocol';
import type { Database, Tx } from '../database.ts';
import { beginFor } from '../database.ts';

/** What a job has: the transaction, the head's time and the database's clock read after the lock. */
export interface LogTx extends Tx {
  readonly tenantId: TenantId;
  /** Milliseconds since 1970 by `clock_timestamp()`. */
  readonly nowMs: number;
  /** Time of the newest entry. A clock that reads less has stepped back. */
  readonly lastTimeMs: number;
  readonly origin: string;
}

/** An event to log: JSON with `kind`, filed under whom it is by and what it is about. */
export interface Event {
  readonly kind: string;
  readonly actor: string;
  /** Artifact id, address, or whatever else `audit list` filters by; may be empty. */
  readonly subject: string;
  readonly data?: JsonObject;
}

export interface JobOutcome<T> {
  readonly events: readonly Event[];
  /** Makes the result once the entries are durable. */
  finish(entries: readonly AppendedEntry[], batch: AppendedBatch): T;
}

type Job = {
  run(tx: LogTx): Promise<JobOutcome<unknown>>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
};

const MAX_JOBS = 256;

interface HeadRow {
  readonly log_origin: string;
  readonly size: number;
  readonly time_ms: number;
  readonly last_hash: Buffer;
  readonly frontier: Buffer;
  readonly now_ms: number;
}

const HASH = 32;

function headOf(row: HeadRow): LogHead {
  const frontier: Uint8Array[] = [];
  for (let at = 0; at < row.frontier.length; at += HASH)
    frontier.push(new Uint8Array(row.frontier.subarray(at, at + HASH)));
  return { size: row.size, frontier, lastHash: new Uint8Array(row.last_hash), lastTimeMs: row.time_ms };
}

/** The row that a new tenant's log starts from. */
export async function createLog(tx: Tx, tenantId: TenantId, origin: string): Promise<void> {
  await tx.query('insert into log_heads (tenant_id, log_origin, last_hash) values ($1, $2, $3)', [
    tenantId,
    origin,
    ZERO_HASH,
  ]);
}

// Fixed-size hashes travel as one binary parameter each and are cut up by the server; arrays of bytea would be
// hex text, twice the size and slow on both sides.
const APPEND = `
  with entry as (
    insert into audit_entries (tenant_id, seq, time_ms, commitment, leaf_hash, salt, event, kind, actor, subject)
    select $1, $2::bigint + i - 1, t.time_ms,
      substring($4::bytea from (i::int - 1) * 32 + 1 for 32),
      substring($5::bytea from (i::int - 1) * 32 + 1 for 32),
      substring($6::bytea from (i::int - 1) * 32 + 1 for 32),
      t.event, t.kind, t.actor, t.subject
    from unnest($3::bigint[], $7::text[], $8::text[], $9::text[], $10::text[])
      with ordinality as t(time_ms, event, kind, actor, subject, i)
  ), node as (
    insert into log_nodes (tenant_id, level, index, hash)
    select $1, n.level, n.index, decode(n.hash, 'hex')
    from unnest($11::int[], $12::bigint[], $13::text[]) as n(level, index, hash)
  )
  update log_heads set size = $14, time_ms = $15, last_hash = $16, frontier = $17 where tenant_id = $1`;

export class Sequencer {
  readonly #database: Database;
  readonly #waiting = new Map<TenantId, Job[]>();
  readonly #running = new Set<Promise<void>>();

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Runs a job in the tenant's next batch. Rejects with what the job throws (its writes are undone, the others'
   * stand), or with `audit_unavailable` when the batch could not be made durable: then its fate is unknown to us,
   * and nothing of it is handed out.
   */
  append<T>(tenantId: TenantId, run: (tx: LogTx) => Promise<JobOutcome<T>>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const job: Job = { run, resolve: (value) => resolve(value as T), reject };
      const queue = this.#waiting.get(tenantId);
      if (queue !== undefined) {
        queue.push(job);
        return;
      }
      this.#waiting.set(tenantId, [job]);
      const drained = this.#drain(tenantId);
      this.#running.add(drained);
      void drained.finally(() => this.#running.delete(drained));
    });
  }

  /** Waits for all that was asked for. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #drain(tenantId: TenantId): Promise<void> {
    // One turn of the event loop, so that requests which arrived together share a batch.
    await new Promise<void>((next) => setImmediate(next));
    for (;;) {
      const jobs = this.#waiting.get(tenantId)?.splice(0, MAX_JOBS) ?? [];
      if (jobs.length === 0) {
        this.#waiting.delete(tenantId);
        return;
      }
      await this.#batch(tenantId, jobs);
    }
  }

  async #batch(tenantId: TenantId, jobs: readonly Job[]): Promise<void> {
    const settled: (() => void)[] = [];
    try {
      await this.#database.lend(async (tx) => {
        const head = await lockHead(tx, tenantId);
        const outcomes: { readonly job: Job; readonly outcome: JobOutcome<unknown> }[] = [];
        const logTx: LogTx = {
          ...tx,
          tenantId,
          nowMs: head.now_ms,
          lastTimeMs: head.time_ms,
          origin: head.log_origin,
        };
        for (const job of jobs) {
          const only = jobs.length === 1;
          try {
            if (!only) await tx.script('savepoint job');
            outcomes.push({ job, outcome: await job.run(logTx) });
            if (!only) await tx.script('release savepoint job');
          } catch (error) {
            await tx.script(only ? 'rollback' : 'rollback to savepoint job; release savepoint job');
            settled.push(() => job.reject(error));
            if (only) return;
          }
        }
        const batch = await appendAll(
          tx,
          tenantId,
          head,
          outcomes.flatMap(({ outcome }) => outcome.events),
        );
        await tx.script('commit');
        let at = 0;
        for (const { job, outcome } of outcomes) {
          const entries = batch.entries.slice(at, at + outcome.events.length);
          at += outcome.events.length;
          settled.push(() => {
            try {
              job.resolve(outcome.finish(entries, batch));
            } catch (error) {
              job.reject(error);
            }
          });
        }
      });
    } catch (error) {
      const known = error instanceof ProblemError && error.code === 'not_found' ? error : undefined;
      const fault =
        known ?? new ProblemError('audit_unavailable', 'The audit log takes no entries now. Try again.');
      for (const job of jobs) job.reject(fault);
      return;
    }
    for (const settle of settled) settle();
  }
}

async function lockHead(tx: Tx, tenantId: TenantId): Promise<HeadRow> {
  // The clock is read by a statement of its own, after the lock was got.
  const [row] = await tx.script<HeadRow>(`${beginFor(tenantId)};
    select from log_heads where tenant_id = '${tenantId}' for update;
    select log_origin, size, time_ms, last_hash, frontier,
      floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms
    from log_heads where tenant_id = '${tenantId}'`);
  if (row === undefined) throw new ProblemError('not_found', 'There is no such organisation.');
  return row;
}

async function appendAll(
  tx: Tx,
  tenantId: TenantId,
  row: HeadRow,
  events: readonly Event[],
): Promise<AppendedBatch> {
  const head = headOf(row);
  const salts = randomBytes(events.length * SALT_BYTES);
  const at = new Date(Math.max(row.now_ms, row.time_ms)).toISOString();
  const batch = appendEvents(
    tenantId,
    head,
    events.map(({ kind, actor, subject, data = {} }, i) => ({
      event: { ...data, kind, actor, at, ...(subject === '' ? {} : { subject }) },
      salt: new Uint8Array(salts.subarray(i * SALT_BYTES, (i + 1) * SALT_BYTES)),
      timeMs: row.now_ms,
    })),
  );
  if (events.length === 0) return batch;
  const { entries, completedTileRoots } = batch;
  await tx.query(
    APPEND,
    [
      tenantId,
      head.size,
      entries.map((entry) => entry.timeMs),
      concat(...entries.map((entry) => entry.commitment)),
      concat(...entries.map((entry) => entry.leafHash)),
      salts,
      entries.map((entry) => entry.event),
      events.map((event) => event.kind),
      events.map((event) => event.actor),
      events.map((event) => event.subject),
      completedTileRoots.map((node) => node.level),
      completedTileRoots.map((node) => node.index),
      completedTileRoots.map((node) => Buffer.from(node.hash).toString('hex')),
      batch.head.size,
      batch.head.lastTimeMs,
      batch.head.lastHash,
      concat(...batch.head.frontier),
    ],
    'log.append',
  );
  return batch;
}
