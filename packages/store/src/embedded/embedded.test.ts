import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEmbeddedPostgres } from './index.ts';
import type { Connection, PostgresServer } from './server.ts';
import { DataDirInUseError, startPostgres } from './server.ts';

async function query(connection: Connection, sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client(connection);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const debian15 = (dataDir: string): Promise<PostgresServer> =>
  startPostgres({ root: '/usr/lib/postgresql/15', initdbFlags: ['--locale', 'C.UTF-8'] }, dataDir);

describe.each([
  ['embedded PostgreSQL 18', 18, (dataDir: string) => startEmbeddedPostgres({ dataDir })],
  ['Debian PostgreSQL 15', 15, debian15],
] as const)('%s', (_name, major, start) => {
  let folder: string;
  let server: PostgresServer;
  beforeAll(async () => {
    folder = mkdtempSync('/tmp/astis-embedded-');
    server = await start(join(folder, 'pg'));
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    if (server.dataDir.startsWith('/var/lib/astis/'))
      rmSync(server.dataDir, { recursive: true, force: true });
  });

  test('runs the version it says, durably, with checksums and without a network port', async () => {
    const settings = await query(
      server.superuser,
      `select name, setting from pg_settings where name in
        ('server_version_num', 'fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums', 'listen_addresses')`,
    );
    const value = Object.fromEntries(settings.map(({ name, setting }) => [name, setting]));
    expect(Math.floor(Number(value['server_version_num']) / 10_000)).toBe(major);
    expect(value).toMatchObject({
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      data_checksums: 'on',
      listen_addresses: '',
    });
  });

  test('refuses a wrong password', async () => {
    await expect(query({ ...server.superuser, password: 'wrong' }, 'select 1')).rejects.toThrow(/password/);
  });

  test('does not run as root', () => {
    const uid = spawnSync('ps', ['-o', 'uid=', '-p', String(server.pid)], { encoding: 'utf8' }).stdout.trim();
    expect(uid).toMatch(/^[1-9]\d*$/);
  });

  test('keeps what was committed when the server is killed', async () => {
    await query(server.superuser, 'create table kept (n int)');
    await query(server.superuser, 'insert into kept select generate_series(1, 1000)');
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
    server = await start(join(folder, 'pg'));
    expect(await query(server.superuser, 'select count(*)::int as n from kept')).toEqual([{ n: 1000 }]);
  });

  test('a second owner is refused while the first lives; an orphan is taken over', async () => {
    const code = `
      const { startPostgres } = await import(${JSON.stringify(new URL('./server.ts', import.meta.url).href)});
      const { startEmbeddedPostgres } = await import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)});
      const start = ${major === 18} ? (dataDir) => startEmbeddedPostgres({ dataDir })
        : (dataDir) => startPostgres({ root: '/usr/lib/postgresql/15', initdbFlags: ['--locale', 'C.UTF-8'] }, dataDir);
      try { await start(process.argv[1]); process.kill(process.pid, 'SIGKILL'); }
      catch (error) { console.log(error.code); }`;
    const inOther = () =>
      spawnSync(process.execPath, ['--input-type=module', '-e', code, join(folder, 'pg')], {
        encoding: 'utf8',
      });
    expect(inOther().stdout.trim()).toBe(new DataDirInUseError('').code);
    await server.stop();
    expect(inOther().signal).toBe('SIGKILL');
    server = await start(join(folder, 'pg'));
    expect(await query(server.superuser, 'select count(*)::int as n from kept')).toEqual([{ n: 1000 }]);
  });
});
