/**
 * The CVS's store. Functions take a transaction of the tenant; what changes anything runs through `append`, where
 * the tenant's log is locked, so that what a job has read stays true until it commits.
 */
import type { TenantId } from '@astis/protocol';
import type { Connection, Tx } from '../database.ts';
import { Database } from '../database.ts';
import type { ListedEntry } from '../log/reader.ts';
import { logSize, streamEntries } from '../log/reader.ts';
import type { Event } from '../log/sequencer.ts';
import { Sequencer } from '../log/sequencer.ts';
import { ensureLog } from './tenants.ts';

export type { IssuedCertificate } from './certificates.ts';
export * as custodyCertificates from './certificates.ts';
export type { CustodyKey, CustodyKeyPurpose } from './keys.ts';
export * as custodyKeys from './keys.ts';
export * as custodyRequests from './requests.ts';
export type { CustodyTenant } from './tenants.ts';
export * as custodyTenants from './tenants.ts';

/** A transaction of one tenant, and the database's clock in milliseconds since 1970. */
export interface CustodyTx extends Tx {
  readonly tenantId: TenantId;
  readonly nowMs: number;
}

export interface CustodyStore {
  /** Reads in one transaction. */
  read<T>(tenantId: TenantId, work: (tx: CustodyTx) => Promise<T>): Promise<T>;
  /**
   * Runs a job in the tenant's next batch: its writes and its events are one transaction. What the job throws undoes
   * its writes and is thrown here. @throws ProblemError `audit_unavailable`; `not_found` when there is no such log
   */
  append<T>(
    tenantId: TenantId,
    work: (tx: CustodyTx) => Promise<{ readonly result: T; readonly events: readonly Event[] }>,
  ): Promise<T>;
  /** Makes the tenant's log, if it isn't there. */
  createLog(tenantId: TenantId, origin: string): Promise<void>;
  /** The log's entries, oldest first. */
  entries(tenantId: TenantId): AsyncGenerator<ListedEntry>;
  /** @throws ProblemError `store_unavailable` */
  ping(): Promise<void>;
  /** Waits for what is under way, then closes. */
  close(): Promise<void>;
}

export function openCustodyStore(options: {
  readonly connection: Connection;
  readonly poolSize: number;
}): CustodyStore {
  const database = new Database(options.connection, options.poolSize);
  const log = new Sequencer(database);
  return {
    read: (tenantId, work) =>
      database.transaction(tenantId, async (tx) => {
        const [clock] = await tx.query<{ now_ms: number }>(
          'select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms',
          [],
          'custody.clock',
        );
        if (clock === undefined) throw new Error('the database told no time');
        return work({ ...tx, tenantId, nowMs: clock.now_ms });
      }),
    append: (tenantId, work) =>
      log.append(tenantId, async (tx) => {
        const { result, events } = await work(tx);
        return { events, finish: () => result };
      }),
    createLog: (tenantId, origin) => database.transaction(tenantId, (tx) => ensureLog(tx, tenantId, origin)),
    async *entries(tenantId) {
      const { size } = await database.transaction(tenantId, (tx) => logSize(tx, tenantId));
      yield* streamEntries(database, tenantId, 0, size);
    },
    async ping() {
      await database.query('select 1');
    },
    async close() {
      await log.idle();
      await database.close();
    },
  };
}
