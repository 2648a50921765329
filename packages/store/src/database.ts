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

/** Runs statements on one connection. A `name` makes PostgreSQL keep the plan. */
export interface Tx {
  query<Row>(text: string, parameters?: readonly Parameter[], name?: string): Promise<Row[]>;
  /** Several statements without parameters in one round trip; the rows of the last. */
  script<Row>(text: string): Promise<Row[]>;
}

const isConnectionFault = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // Class 08: connection; 53: resources; 57: shutdown. Node's own are E…; pg's have no code but say "terminated".
  return /^(08|53|57P|E)/.test(code) || /terminated|timeout|Connection ended/i.test(error.message);
};

/** Faults of the connection become `store_unavailable`; what SQL itself refuses passes as it is. */
export function storeFault(error: unknown): unknown {
  if (!isConnectionFault(error)) return error;
  return new ProblemError('store_unavailable', 'The store does not answer. Try again.');
}

/** Whether a statement was refused by the unique constraint or index of this name. */
export const violates = (error: unknown, constraint: string): boolean =>
  error instanceof pg.DatabaseError && error.code === '23505' && error.constraint === constraint;

function txOf(client: pg.ClientBase): Tx {
  return {
    async query<Row>(text: string, parameters: readonly Parameter[] = [], name?: string) {
      const values = parameters.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value));
      const answer = await client.query<Row & pg.QueryResultRow>({
        text,
        values,
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
  };
}

/** `begin` and the tenant in one round trip. A TenantId is a checked UUID, so it may stand in the text. */
export const beginFor = (tenantId: TenantId): string =>
  `begin; select set_config('astis.tenant', '${tenantId}', true)`;

export class Database {
  readonly #pool: pg.Pool;

  constructor(connection: Connection, poolSize: number) {
    this.#pool = new pg.Pool({ ...connection, max: poolSize, connectionTimeoutMillis: 10_000 });
    // An idle connection that breaks is replaced on the next use; without a listener it would end the process.
    this.#pool.on('error', () => undefined);
  }

  /** Lends a connection. After a fault it is thrown away, so that a half-done transaction can't be met again. */
  async lend<T>(use: (tx: Tx) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw storeFault(error);
    }
    client.on('error', ignore);
    try {
      const result = await use(txOf(client));
      client.removeListener('error', ignore);
      client.release();
      return result;
    } catch (error) {
      client.removeListener('error', ignore);
      if (isConnectionFault(error)) client.release(true);
      else {
        const rolledBack = await client.query('rollback').then(
          () => true,
          () => false,
        );
        client.release(!rolledBack);
      }
      throw storeFault(error);
    }
  }

  /** One transaction of one tenant. */
  transaction<T>(tenantId: TenantId, work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.lend(async (tx) => {
      await tx.script(beginFor(tenantId));
      const result = await work(tx);
      await tx.script('commit');
      return result;
    });
  }

  /** Statements outside of any tenant: the few definer functions that answer across tenants. */
  query<Row>(text: string, parameters: readonly Parameter[] = []): Promise<Row[]> {
    return this.lend((tx) => tx.query<Row>(text, parameters));
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

const ignore = (): void => undefined;
