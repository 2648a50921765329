/** Debian's PostgreSQL 15, the oldest that the store supports, on a folder of its own. */
import { existsSync } from 'node:fs';
import type { PostgresServer } from '@astis/store';
import { startPostgres } from '@astis/store';

const ROOT = '/usr/lib/postgresql/15';

export async function startDebianPostgres15(options: { readonly dataDir: string }): Promise<PostgresServer> {
  if (!existsSync(`${ROOT}/bin/postgres`)) {
    throw new Error('The Debian package postgresql-15 is not installed.');
  }
  return await startPostgres({ root: ROOT, initdbFlags: ['--locale', 'C.UTF-8'] }, options.dataDir);
}
