import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { embeddedBinaries } from './index.ts';
import { DataDirInUseError, takeOwnership } from './ownership.ts';
import type { Connection, PostgresBinaries, PostgresServer } from './server.ts';
import { removePostgresData, startPostgres } from './server.ts';

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

const isRoot = process.getuid?.() === 0;

/** A folder that anybody may pass through, so that nothing in it has to lie elsewhere. */
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'astis-embedded-'));
  chmodSync(folder, 0o711);
  return folder;
}

/** Runs a script in another Node, with `start` at hand; what it prints is the result. */
function inOther(binaries: PostgresBinaries, script: string): { stdout: string; signal: string | null } {
  const url = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);
  const code = `
    const { startPostgres } = await import(${url('./server.ts')});
    const { binariesFor, serverAccount } = await import(${url('./account.ts')});
    const binaries = ${JSON.stringify(binaries)};
    const start = (dataDir) => startPostgres(binaries, dataDir);
    ${script}`;
  const { stdout, stderr, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
  });
  if (stderr !== '') throw new Error(stderr);
  return { stdout: stdout.trim(), signal };
}

describe.each([
  ['embedded PostgreSQL 18', 18, embeddedBinaries()],
  ['Debian PostgreSQL 15', 15, { root: '/usr/lib/postgresql/15', initdbFlags: ['--locale', 'C.UTF-8'] }],
] as const)('%s', (_name, major, binaries: PostgresBinaries) => {
  let folder: string;
  let dataDir: string;
  let server: PostgresServer;
  beforeAll(async () => {
    folder = newFolder();
    dataDir = join(folder, 'pg');
    server = await startPostgres(binaries, dataDir);
    await query(server.superuser, 'create table kept (n int)');
    await query(server.superuser, 'insert into kept select generate_series(1, 1000)');
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const kept = () => query(server.superuser, 'select count(*)::int as n from kept');

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

  test('wants the password, which only the owner of the folder can read', async () => {
    await expect(query({ ...server.superuser, password: 'wrong' }, 'select 1')).rejects.toThrow(/password/);
    expect(statSync(`${dataDir}.password`).mode & 0o777).toBe(0o600);
    expect(statSync(server.superuser.host).mode & 0o777).toBe(0o700);
  });

  test('does not run as root', () => {
    const uid = spawnSync('ps', ['-o', 'uid=', '-p', String(server.pid)], { encoding: 'utf8' }).stdout.trim();
    expect(uid).toMatch(/^[1-9]\d*$/);
  });

  test('writes nothing about statements into its log, whatever goes wrong with them', async () => {
    await expect(query(server.superuser, `select 'log-canary'::int`)).rejects.toThrow();
    expect(readFileSync(`${dataDir}.log`, 'utf8')).not.toContain('select');
  });

  test('keeps what was committed when the server is killed, though its children still run', async () => {
    // A child that is busy does not notice that the server is gone.
    const busy = query(
      server.superuser,
      'select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b',
    );
    busy.catch(() => undefined);
    await expect
      .poll(() => query(server.superuser, `select 1 from pg_stat_activity where query like '%1000000) b'`), {
        timeout: 60_000,
      })
      .not.toEqual([]);
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
    server = await startPostgres(binaries, dataDir);
    expect(await kept()).toEqual([{ n: 1000 }]);
    await expect(busy).rejects.toThrow();
  });

  test('is not started twice on one folder, by this process or by another', async () => {
    await expect(startPostgres(binaries, dataDir)).rejects.toThrow(DataDirInUseError);
    await expect(removePostgresData(dataDir)).rejects.toThrow(DataDirInUseError);
    const attempt = `try { await start(${JSON.stringify(dataDir)}); } catch (error) { console.log(error.code); }`;
    expect(inOther(binaries, attempt).stdout).toBe('data_dir_in_use');
    expect(await kept()).toEqual([{ n: 1000 }]);
  });

  test('takes over a server whose owner was killed', async () => {
    await server.stop();
    const abandoned = inOther(
      binaries,
      `const { pid } = await start(${JSON.stringify(dataDir)}); console.log(pid); process.kill(process.pid, 'SIGKILL');`,
    );
    expect(abandoned.signal).toBe('SIGKILL');
    expect(process.kill(Number(abandoned.stdout), 0)).toBe(true);
    server = await startPostgres(binaries, dataDir);
    expect(server.pid).not.toBe(Number(abandoned.stdout));
    expect(await kept()).toEqual([{ n: 1000 }]);
  });

  test('starts though another process has the number of a server that was killed', async () => {
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
    const inUse = String(server.pid);
    const taken = spawn('sleep', ['600'], { uid: statSync(dataDir).uid });
    try {
      for (const file of [
        join(dataDir, 'postmaster.pid'),
        join(server.superuser.host, '.s.PGSQL.5432.lock'),
      ]) {
        writeFileSync(file, readFileSync(file, 'utf8').replace(inUse, String(taken.pid)));
      }
      server = await startPostgres(binaries, dataDir);
      expect(await kept()).toEqual([{ n: 1000 }]);
      expect(taken.exitCode).toBeNull();
    } finally {
      taken.kill();
    }
  });

  test('says where to look when it can not start, and can be tried again', async () => {
    await server.stop();
    const config = join(dataDir, 'postgresql.conf');
    const before = readFileSync(config);
    writeFileSync(config, 'no such setting');
    await expect(startPostgres(binaries, dataDir)).rejects.toThrow(`${dataDir}.log`);
    writeFileSync(config, before);
    server = await startPostgres(binaries, dataDir);
    expect(await kept()).toEqual([{ n: 1000 }]);
  });

  test('a start that was cut short while it made the database is made good by the next', async () => {
    const other = join(folder, 'cut-short');
    mkdirSync(`${other}.new`);
    writeFileSync(join(`${other}.new`, 'PG_VERSION'), String(major));
    const second = await startPostgres(binaries, other);
    expect(await query(second.superuser, 'select 1 as one')).toEqual([{ one: 1 }]);
    await second.stop();
  });

  test('runs for an ordinary user', () => {
    const home = mkdtempSync(join(tmpdir(), 'astis-embedded-user-'));
    chmodSync(home, 0o777);
    try {
      // As root: the modules are loaded, then the process becomes another user, who may not even see this checkout.
      const script = `
        binaries.root = binariesFor(binaries.root, serverAccount());
        if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
        const server = await start(${JSON.stringify(join(home, 'pg'))});
        const { statSync } = await import('node:fs');
        console.log(statSync(server.dataDir).uid === process.getuid(), server.dataDir);
        await server.stop();`;
      expect(inOther(binaries, script).stdout).toBe(`true ${join(home, 'pg')}`);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});

test.runIf(isRoot)('runs for root in a folder that nobody else can enter, binaries and all', async () => {
  const closed = mkdtempSync(join(tmpdir(), 'astis-embedded-closed-'));
  const place = join(closed, 'state', 'pg');
  mkdirSync(join(closed, 'state'), { mode: 0o755 });
  // A checkout below /root.
  cpSync(embeddedBinaries().root, join(closed, 'native'), { recursive: true, verbatimSymlinks: true });
  const own = { ...embeddedBinaries(), root: join(closed, 'native') };
  const first = await startPostgres(own, place);
  await query(first.superuser, 'create table moved (n int)');
  await first.stop();
  const again = await startPostgres(own, place);
  expect(await query(again.superuser, 'select count(*)::int as n from moved')).toEqual([{ n: 0 }]);
  expect(again.dataDir.startsWith(closed)).toBe(false);
  await again.stop();
  await removePostgresData(place);
  expect(existsSync(again.dataDir)).toBe(false);
  // What is gone does not come back: the next start has a new database.
  const fresh = await startPostgres(own, place);
  await expect(query(fresh.superuser, 'select 1 from moved')).rejects.toThrow(/does not exist/);
  await fresh.stop();
  await removePostgresData(place);
  rmSync(closed, { recursive: true, force: true });
});

describe('ownership', () => {
  let folder: string;
  beforeAll(() => {
    folder = newFolder();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const owned: { release(): void }[] = [];
  afterEach(() => {
    for (const one of owned.splice(0)) one.release();
  });
  const place = () => join(folder, 'pg');
  const take = () => owned.push(takeOwnership(place()));

  test('is given once, and again after its release', () => {
    take();
    expect(take).toThrow(DataDirInUseError);
    owned.pop()?.release();
    take();
    expect(owned).toHaveLength(1);
  });

  test('passes from a dead owner, and from one whose number another process has now', () => {
    for (const dead of ['999999999 1', `${process.ppid} 1`, `${process.pid} 1`, '', 'nonsense']) {
      writeFileSync(`${place()}.owner`, dead);
      take();
      owned.pop()?.release();
    }
    expect(existsSync(`${place()}.owner`)).toBe(false);
  });

  test('of a live process is left alone', () => {
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8');
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(`${place()}.owner`, `${process.ppid} ${started}`);
    expect(take).toThrow(`Process ${process.ppid}`);
    rmSync(`${place()}.owner`);
  });
});
