/** Migrations, forward and back, by Kysely's migrator. Run by the owner's role, never by a service. */
import type { Migration } from 'kysely';
import { Kysely, Migrator, NO_MIGRATIONS, PostgresDialect } from 'kysely';
import pg from 'pg';
import { custodyMigrations } from './custody/migrations/index.ts';
import type { Connection } from './embedded/server.ts';
import { gatewayMigrations } from './gateway/migrations/index.ts';

const MIGRATIONS: Readonly<Record<StoreKind, Record<string, Migration>>> = {
  gateway: gatewayMigrations,
  custody: custodyMigrations,
};

export type StoreKind = 'gateway' | 'custody';

/** Brings the schema to the newest version (`latest`) or takes it away (`none`). Returns what was carried out. */
export async function migrate(
  owner: Connection,
  kind: StoreKind,
  target: 'latest' | 'none' = 'latest',
): Promise<readonly string[]> {
  const kysely = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ ...owner, max: 1 }) }),
  });
  try {
    const migrator = new Migrator({
      db: kysely,
      provider: { getMigrations: () => Promise.resolve(MIGRATIONS[kind]) },
    });
    const { error, results = [] } =
      target === 'latest' ? await migrator.migrateToLatest() : await migrator.migrateTo(NO_MIGRATIONS);
    if (error !== undefined) throw error;
    return results.map((result) => `${result.direction} ${result.migrationName}`);
  } finally {
    await kysely.destroy();
  }
}
