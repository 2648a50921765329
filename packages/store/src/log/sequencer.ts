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
import type { Database, Parameter, Session, Tx } from '../database.ts';
import { isContention } from '../database.ts';

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

/** Makes a job's writes and says what is to be logged. */
export type Run<T> = (tx: LogTx) => Promise<JobOutcome<T>>;

interface Job {
  readonly run: Run<unknown> | undefined;
  /** In place of `run`: called once the lock was asked for, and gives what to run once it was got. */
  readonly start: ((session: Tx) => Run<unknown>) | undefined;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Most jobs of a batch. */
const MAX_JOBS = 1024;
/** PostgreSQL slows down for everybody when a transaction has more than 64 subtransactions. */
const MAX_SAVEPOINTS = 60;
const MAX_ATTEMPTS = 4;

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
    select $1, $2::bigint + i - 1, $3,
      substring($4::bytea from (i::int - 1) * 32 + 1 for 32),
      substring($5::bytea from (i::int - 1) * 32 + 1 for 32),
      substring($6::bytea from (i::int - 1) * 32 + 1 for 32),
      t.event, t.kind, t.actor, t.subject
    from unnest($7::text[], $8::text[], $9::text[], $10::text[]) with ordinality as t(event, kind, actor, subject, i)
  ), node as (
    insert into log_nodes (tenant_id, level, index, hash)
    select $1, n.level, n.index, decode(n.hash, 'hex')
    from unnest($11::int[], $12::bigint[], $13::text[]) as n(level, index, hash)
  )
  update log_heads set size = $14, time_ms = $3, last_hash = $15, frontier = $16 where tenant_id = $1`;

const LOCK = 'select * from lock_log($1)';

/** A job's transaction was given up by PostgreSQL for another's, with all jobs of the batch. */
class BatchContention extends Error {}

/**
 * What one job of several sees of the transaction: a savepoint is set before its first statement, so that it can be
 * undone by itself. A job that only logs costs none.
 */
class JobTx {
  readonly #session: Tx;
  readonly #mayBeUndone: boolean;
  hasSavepoint = false;
  contended = false;

  constructor(session: Tx, mayBeUndone: boolean) {
    this.#session = session;
    this.#mayBeUndone = mayBeUndone;
  }

  readonly statements: Tx = {
    query: <Row>(text: string, parameters?: readonly Parameter[], name?: string) => {
      this.#begin();
      return this.#noticing(this.#session.query<Row>(text, parameters, name));
    },
    script: <Row>(text: string) => {
      this.#begin();
      return this.#noticing(this.#session.script<Row>(text));
    },
  };

  keep(): void {
    if (this.hasSavepoint) this.#send('release savepoint job');
  }

  async undo(): Promise<void> {
    if (this.hasSavepoint) await this.#session.script('rollback to savepoint job; release savepoint job');
  }

  #begin(): void {
    if (this.hasSavepoint || !this.#mayBeUndone) return;
    this.hasSavepoint = true;
    this.#send('savepoint job');
  }

  /** Nobody waits for it. Should it fail, so does all that follows, the commit included. */
  #send(statement: string): void {
    this.#session.script(statement).catch(() => undefined);
  }

  async #noticing<T>(statement: Promise<T>): Promise<T> {
    try {
      return await statement;
    } catch (error) {
      this.contended ||= isContention(error);
      throw error;
    }
  }
}

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
   * and nothing of it is handed out. A job may be run again from its start when its batch met another's transaction.
   */
  append<T>(tenantId: TenantId, run: Run<T>): Promise<T> {
    return this.#enqueue(tenantId, run, undefined);
  }

  /**
   * Like `append`, for a job whose first statements need nothing of the head: `start` sends them behind the lock,
   * in the same round trip, and gives what runs once the lock was got. They must not fail but with the server.
   */
  appendStarted<T>(tenantId: TenantId, start: (session: Tx) => Run<T>): Promise<T> {
    return this.#enqueue(tenantId, undefined, start);
  }

  #enqueue<T>(tenantId: TenantId, run: Job['run'], start: Job['start']): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const job: Job = { run, start, resolve: (value) => resolve(value as T), reject };
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
      const queue = this.#waiting.get(tenantId) ?? [];
      if (queue.length === 0) {
        this.#waiting.delete(tenantId);
        return;
      }
      const jobs = queue.splice(0, MAX_JOBS);
      const left = await this.#batch(tenantId, jobs);
      queue.unshift(...left);
    }
  }

  /** Settles the jobs, but for those that it returns: there was no room for them. */
  async #batch(tenantId: TenantId, jobs: readonly Job[]): Promise<readonly Job[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { settle, left } = await this.#database.lend((session) =>
          this.#transact(session, tenantId, jobs),
        );
        for (const act of settle) act();
        return left;
      } catch (error) {
        if ((error instanceof BatchContention || isContention(error)) && attempt < MAX_ATTEMPTS) continue;
        const fault =
          error instanceof ProblemError && error.code === 'not_found'
            ? error
            : new ProblemError('audit_unavailable', 'The audit log takes no entries now. Try again.');
        for (const job of jobs) job.reject(fault);
        return [];
      }
    }
  }

  async #transact(
    session: Session,
    tenantId: TenantId,
    jobs: readonly Job[],
  ): Promise<{ readonly settle: readonly (() => void)[]; readonly left: readonly Job[] }> {
    const locked = Promise.all([
      session.script('begin'),
      session.query<HeadRow>(LOCK, [tenantId], 'log.lock'),
    ]);
    const started = jobs.map((job) => ({ job, run: job.start?.(session) ?? job.run }));
    const [, [row]] = await locked;
    if (row === undefined) throw new ProblemError('not_found', 'There is no such organisation.');
    const head = { tenantId, nowMs: row.now_ms, lastTimeMs: row.time_ms, origin: row.log_origin };
    const settle: (() => void)[] = [];
    const outcomes: { readonly job: Job; readonly outcome: JobOutcome<unknown> }[] = [];
    const left: Job[] = [];
    const alone = jobs.length === 1;
    let savepoints = 0;
    for (const { job, run } of started) {
      if (run === undefined) continue;
      if (savepoints >= MAX_SAVEPOINTS && job.start === undefined) {
        left.push(job);
        continue;
      }
      const tx = new JobTx(session, !alone);
      try {
        outcomes.push({ job, outcome: await run({ ...tx.statements, ...head }) });
        tx.keep();
      } catch (error) {
        if (tx.contended) throw new BatchContention();
        settle.push(() => job.reject(error));
        if (alone) {
          await session.script('rollback');
          return { settle, left };
        }
        await tx.undo();
      }
      if (tx.hasSavepoint) savepoints++;
    }
    const batch = await appendAndCommit(
      session,
      tenantId,
      row,
      outcomes.flatMap(({ outcome }) => outcome.events),
    );
    let at = 0;
    for (const { job, outcome } of outcomes) {
      const entries = batch.entries.slice(at, at + outcome.events.length);
      at += outcome.events.length;
      settle.push(() => {
        try {
          job.resolve(outcome.finish(entries, batch));
        } catch (error) {
          job.reject(error);
        }
      });
    }
    return { settle, left };
  }
}

async function appendAndCommit(
  session: Session,
  tenantId: TenantId,
  row: HeadRow,
  events: readonly Event[],
): Promise<AppendedBatch> {
  const salts = randomBytes(events.length * SALT_BYTES);
  // All entries of a batch have one time, which is never less than that of the newest entry before.
  const timeMs = Math.max(row.now_ms, row.time_ms);
  const at = new Date(timeMs).toISOString();
  const batch = appendEvents(
    tenantId,
    headOf(row),
    events.map(({ kind, actor, subject, data = {} }, i) => ({
      event: { ...data, kind, actor, at, ...(subject === '' ? {} : { subject }) },
      salt: new Uint8Array(salts.buffer, salts.byteOffset + i * SALT_BYTES, SALT_BYTES),
      timeMs,
    })),
  );
  if (events.length === 0) {
    await session.commit();
    return batch;
  }
  const { entries, completedTileRoots } = batch;
  const appended = session.query(
    APPEND,
    [
      tenantId,
      row.size,
      timeMs,
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
      batch.head.lastHash,
      concat(...batch.head.frontier),
    ],
    'log.append',
  );
  // In one round trip: a commit behind a failed statement rolls back, and says so.
  await Promise.all([appended, session.commit()]);
  return batch;
}
