/** Debian's pg_dump, as somebody runs it who took the databases or keeps backups. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Connection } from '@astis/store';

const run = promisify(execFile);

/** The whole database as SQL text. */
export async function dump({ host, port, user, password }: Connection, database: string): Promise<Buffer> {
  const { stdout } = await run(
    '/usr/lib/postgresql/15/bin/pg_dump',
    ['--host', host, '--port', String(port), '--username', user, database],
    { encoding: 'buffer', maxBuffer: 1 << 28, env: { PGPASSWORD: password } },
  );
  return stdout;
}
