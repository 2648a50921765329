/** The gateway's store. Functions take a transaction (`Tx`) of the tenant; what is logged runs through `log`. */
import type { NoteSigningKey } from '@astis/audit';
import type { TenantId } from '@astis/protocol';
import type { Connection, Tx } from '../database.ts';
import { Database } from '../database.ts';
import { Sequencer } from '../log/sequencer.ts';
import { PolicyCache } from './policies.ts';
import { Releases } from './releases.ts';

export * as approvals from './approvals.ts';
export * as capsules from './capsules.ts';
export * as denials from './denials.ts';
export * as people from './people.ts';
export * as policies from './policies.ts';
export * as requests from './requests.ts';
export * as rotations from './rotations.ts';
export type { Listing } from './rows.ts';
export * as tenants from './tenants.ts';

export interface GatewayStore {
  readonly database: Database;
  readonly log: Sequencer;
  readonly releases: Releases;
  readonly policyCache: PolicyCache;
  /** One transaction of the tenant. */
  transaction<T>(tenantId: TenantId, work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Waits for what is under way, then closes. */
  close(): Promise<void>;
}

export function openGatewayStore(options: {
  readonly connection: Connection;
  readonly poolSize: number;
  readonly receiptKey: NoteSigningKey;
}): GatewayStore {
  const database = new Database(options.connection, options.poolSize);
  const log = new Sequencer(database);
  const policyCache = new PolicyCache();
  return {
    database,
    log,
    policyCache,
    releases: new Releases(log, policyCache, options.receiptKey),
    transaction: (tenantId, work) => database.transaction(tenantId, work),
    async close() {
      await log.idle();
      await database.close();
    },
  };
}
