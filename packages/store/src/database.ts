/**
 * The one way to PostgreSQL: a pool, and transactions that carry a tenant. Row-level security compares every row
 * with the tenant of the transaction, so a query outside of one finds nothing.
 */
import type { TenantId } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import pg from 'pg';
import type { Connection } from './embedded/server.ts';

export type { Connection } from './embedded/server.ts';

// Whole numbers of SQL's bigint are counters and milliseconds here, well inside 2^53.
pg.types.setTypeParser(20, Number);

export type Parameter = string | number | boolean | Date | Uint8Array | null | readonly unknown[];

/**
 * Runs statements on one connection, in the order in which they were asked for. A statement need not wait for the
 * answers to those before it: then they share a round trip. After one that fails, all fail up to the rollback.
 */
export interface Tx {
  /** A `name` makes PostgreSQL keep the plan. */
  query<Row>(text: string, parameters?: readonly Parameter[], name?: string): Promise<Row[]>;
  /** Several statements without parameters in one round trip; the rows of the last. */
  script<Row>(text: string): Promise<Row[]>;
}

/** A lent connection, whose holder says where a transaction begins and ends. */
export interface Session extends Tx {
  /** Begins a transaction of the tenant. */
  begin(tenantId: TenantId): Promise<void>;
  /** Rejects unless the transaction is committed: PostgreSQL answers the commit of a failed one without an error. */
  commit(): Promise<void>;
}

const sqlState = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/**
 * The server or the way to it is at fault, and not the statement. SQLSTATE classes 08 (connection), 53 (resources),
 * 57 (shutdown, cancelled by a time limit), 58 (system), XX (corruption), and 25006 (a standby), 25P03, 55P03 (time
 * limits). Node's own codes are E…; errors that `pg` makes up have none.
 */
const isServerFault = (error: unknown): boolean =>
  error instanceof Error &&
  (/^(08|53|57|58|XX|25006|25P03|55P03|E[A-Z])/.test(sqlState(error)) ||
    (!(error instanceof pg.DatabaseError) &&
      /terminated|timeout|Connection ended|connection error|not queryable/i.test(error.message)));

/** Two transactions stood in each other's way, and this one was given up for the other: doing it again helps. */
export const isContention = (error: unknown): boolean => /^(40001|40P01)$/.test(sqlState(error));

/** Faults of the server become `store_unavailable`; what SQL itself refuses passes as it is. */
export function storeFault(error: unknown): unknown {
  if (!isServerFault(error)) return error;
  return new ProblemError('store_unavailable', 'The store does not answer. Try again.');
}

/** Whether a statement was refused by the unique constraint or index of this name. */
export const violates = (error: unknown, constraint: string): boolean =>
  error instanceof pg.DatabaseError && error.code === '23505' && error.constraint === constraint;

function sessionOf(client: pg.ClientBase): Session {
  const session: Session = {
    async query<Row>(text: string, parameters: readonly Parameter[] = [], name?: string) {
      const answer = await client.query<Row & pg.QueryResultRow>({
        text,
        values: [...parameters],
        ...(name ? { name } : {}),
      });
      return answer.rows;
    },
    async script<Row>(text: string) {
      // With several statements `pg` answers an array, which its types don't know.
      const answers: pg.QueryResult | pg.QueryResult[] = await client.query(text);
      const last = Array.isArray(answers) ? answers.at(-1) : answers;
      const rows: Row[] = last?.rows ?? [];
      return rows;
    },
    async begin(tenantId) {
      await Promise.all([client.query('begin'), session.query(SET_TENANT, [tenantId], 'tenant.set')]);
    },
    async commit() {
      const { command } = await client.query('commit');
      if (command !== 'COMMIT')
        throw new ProblemError('store_unavailable', 'The store did not keep the change. Try again.');
    },
  };
  return session;
}

const SET_TENANT = "select set_config('astis.tenant', $1, true)";

/**
 * Every statement of a service looks rows up by a key that has an index. The planner is held to that, so that a plan
 * made while a table was small or its statistics were old never reads the whole of it. And it is held to one plan for
 * each statement: for a batch of one it would else reckon that planning anew is worth it, each time. Limits of pages
 * stand in the text for that reason: with one that it can't know the planner would read all and sort.
 */
const PLANNER =
  '-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off -c plan_cache_mode=force_generic_plan';

/** Milliseconds. A server that hangs is a server that fails; a process that hangs must not keep a log locked. */
const LIMITS = {
  connectionTimeoutMillis: 10_000,
  lock_timeout: 15_000,
  statement_timeout: 30_000,
  idle_in_transaction_session_timeout: 60_000,
  // Ours, for a server that can't even answer that a limit has passed.
  query_timeout: 40_000,
};

const MAX_ATTEMPTS = 4;

export class Database {
  readonly #pool: pg.Pool;

  constructor(connection: Connection, poolSize: number) {
    this.#pool = new pg.Pool({
      ...connection,
      ...LIMITS,
      max: poolSize,
      options: PLANNER,
      pipeline: true,
      keepAlive: true,
    });
    // An idle connection that breaks is replaced on the next use; without a listener it would end the process.
    this.#pool.on('error', () => undefined);
  }

  /** Lends a connection. After a fault it is thrown away, so that a half-done transaction can't be met again. */
  async lend<T>(use: (session: Session) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      // Whatever keeps us from connecting, wrong passwords included, is not the caller's.
      throw error instanceof ProblemError
        ? error
        : new ProblemError('store_unavailable', 'The store can not be reached. Try again.');
    }
    client.on('error', ignore);
    try {
      const result = await use(sessionOf(client));
      client.removeListener('error', ignore);
      client.release();
      return result;
    } catch (error) {
      const rolledBack =
        !isServerFault(error) &&
        (await client.query('rollback').then(
          () => true,
          () => false,
        ));
      client.removeListener('error', ignore);
      client.release(!rolledBack);
      throw storeFault(error);
    }
  }

  /** One transaction of one tenant. Done again when another's stood in its way. */
  async transaction<T>(tenantId: TenantId, work: (tx: Tx) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.lend(async (session) => {
          // The first statement of the work shares its round trip; it fails if this does.
          const begun = session.begin(tenantId);
          begun.catch(ignore);
          const result = await work(session);
          await begun;
          await session.commit();
          return result;
        });
      } catch (error) {
        if (!isContention(error) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** Statements outside of any tenant: the few definer functions that answer across tenants. */
  query<Row>(text: string, parameters: readonly Parameter[] = []): Promise<Row[]> {
    return this.lend((session) => session.query<Row>(text, parameters));
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

const ignore = (): void => undefined;
