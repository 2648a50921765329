/** PostgreSQL: the only place with SQL. */
export * from './custody/index.ts';
export { type Connection, Database, type Tx } from './database.ts';
export { startEmbeddedPostgres } from './embedded/index.ts';
export { DataDirInUseError } from './embedded/ownership.ts';
export {
  type PostgresBinaries,
  type PostgresServer,
  removePostgresData,
  startPostgres,
} from './embedded/server.ts';
export * from './gateway/index.ts';
export type { GrantedRelease, ReleaseAnswer, ReleaseQuestion } from './gateway/releases.ts';
export {
  type ListedEntry,
  type LogFilter,
  type LogSize,
  listEntries,
  logSize,
  nodeReader,
  streamEntries,
} from './log/reader.ts';
export { createLog, type Event, type JobOutcome, type LogTx, Sequencer } from './log/sequencer.ts';
export { migrate, type StoreKind } from './migrate.ts';
export { type DatabasePlan, type ProvisionedDatabase, provision } from './provision.ts';
