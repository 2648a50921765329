/**
 * Runs a PostgreSQL server as a child process on a folder of its own: reachable over a Unix socket only, with every
 * durability setting on. The embedded default and the tests' Debian server both run through here.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import pg from 'pg';
import type { Account } from './account.ts';
import { reachableBinaries, reachableDataDir, serverAccount } from './account.ts';

/** How to connect; the shape that `pg` takes. */
export interface Connection {
  /** The socket's folder. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface PostgresServer {
  readonly pid: number;
  /** Where the data lies; not always where it was asked for, see account.ts. */
  readonly dataDir: string;
  readonly superuser: Connection;
  /** The end of the server process, wanted or not. */
  readonly exited: Promise<void>;
  /** Fast shutdown: open transactions are rolled back, what was committed is on disk. */
  stop(): Promise<void>;
}

export interface PostgresBinaries {
  /** Folder that has bin/, lib/ and share/. */
  readonly root: string;
  readonly initdbFlags: readonly string[];
}

/** Another live process owns the data folder. */
export class DataDirInUseError extends Error {
  override readonly name = 'DataDirInUseError';
  readonly code = 'data_dir_in_use';
}

const PORT = 5432;

// Durability is PostgreSQL's own default; it stands here so that no configuration file can turn it off.
const SETTINGS = {
  listen_addresses: '',
  port: String(PORT),
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  password_encryption: 'scram-sha-256',
  max_connections: '200',
  shared_buffers: '256MB',
  wal_compression: 'on',
  max_wal_size: '2GB',
  checkpoint_completion_target: '0.9',
  // No statement's text or parameters may reach a log, whatever goes wrong with it.
  log_statement: 'none',
  log_min_error_statement: 'panic',
  log_parameter_max_length_on_error: '0',
  log_error_verbosity: 'terse',
};

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

/** The kernel's start time of a process, so that a number used again is not taken for the old process. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function takeOwnership(dataDir: string): void {
  const file = `${dataDir}.owner`;
  if (existsSync(file)) {
    const [pid = '', started = ''] = readFileSync(file, 'utf8').split(' ');
    const owner = Number(pid);
    if (owner > 0 && owner !== process.pid && alive(owner) && startTime(owner) === started) {
      throw new DataDirInUseError(
        `Process ${owner} already runs a server on ${dataDir}; stop that one first.`,
      );
    }
  }
  writeFileSync(file, `${process.pid} ${startTime(process.pid)}`, { mode: 0o600 });
}

/** Stops a server whose owner was killed: it still runs, on this very folder. */
async function stopOrphan(dataDir: string): Promise<void> {
  const file = join(dataDir, 'postmaster.pid');
  if (!existsSync(file)) return;
  const [line = '', folder = ''] = readFileSync(file, 'utf8').split('\n');
  const pid = Number(line);
  const isOurs = (): boolean => {
    try {
      return alive(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres');
    } catch {
      return false;
    }
  };
  if (!(pid > 0) || resolve(folder) !== resolve(dataDir) || !isOurs()) return;
  process.kill(pid, 'SIGINT');
  await until(async () => !isOurs(), 'an earlier server on the same folder does not stop');
}

async function until(done: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`PostgreSQL: ${what}`);
    await new Promise((wake) => setTimeout(wake, 25));
  }
}

/** A short path, since a socket's is limited to 107 bytes; refused where somebody else made it first. */
function socketFolder(dataDir: string, account: Account | undefined): string {
  const uid = account?.uid ?? process.getuid?.() ?? 0;
  const folder = `/tmp/astis-${uid}-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  const owners = [uid, process.getuid?.() ?? uid];
  if (!stat.isDirectory() || !owners.includes(stat.uid)) {
    throw new Error(`${folder} belongs to another user; remove it.`);
  }
  give(folder, account);
  chmodSync(folder, 0o700);
  return folder;
}

function give(path: string, account: Account | undefined): void {
  if (account !== undefined) chownSync(path, account.uid, account.gid);
}

function initialise(
  root: string,
  flags: readonly string[],
  dataDir: string,
  account: Account | undefined,
): void {
  // Made beside and renamed, so that a crash half way leaves nothing that looks like a database.
  const fresh = `${dataDir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  give(fresh, account);
  const passwordFile = `${dataDir}.password`;
  if (!existsSync(passwordFile)) {
    writeFileSync(passwordFile, randomBytes(32).toString('base64url'), { mode: 0o600 });
  }
  const readable = `${fresh}.password`;
  writeFileSync(readable, readFileSync(passwordFile), { mode: 0o600 });
  give(readable, account);
  try {
    const { status, stderr } = spawnSync(
      join(root, 'bin', 'initdb'),
      [
        '--pgdata',
        fresh,
        '--username',
        'postgres',
        '--auth',
        'scram-sha-256',
        '--pwfile',
        readable,
        '--data-checksums',
        '--encoding',
        'UTF8',
        ...flags,
      ],
      { ...account, cwd: '/', encoding: 'utf8', env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } },
    );
    if (status !== 0) throw new Error(`PostgreSQL: initdb failed: ${stderr}`);
  } finally {
    rmSync(readable, { force: true });
  }
  renameSync(fresh, dataDir);
}

/** Connects until the server answers. Rejects when it ends first. */
async function waitUntilReady(superuser: Connection, child: ChildProcess, logFile: string): Promise<void> {
  await until(async () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`PostgreSQL ended while starting; see ${logFile}`);
    }
    const client = new pg.Client({ ...superuser, connectionTimeoutMillis: 5000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('select 1');
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  }, `does not answer; see ${logFile}`);
}

/** Starts a server on `wanted`, which is made on the first start. One live owner at a time. */
export async function startPostgres(binaries: PostgresBinaries, wanted: string): Promise<PostgresServer> {
  const account = serverAccount();
  const dataDir = reachableDataDir(resolve(wanted), account);
  mkdirSync(dirname(dataDir), { recursive: true, mode: 0o711 });
  const root = reachableBinaries(binaries.root, account);
  takeOwnership(dataDir);
  await stopOrphan(dataDir);
  if (!existsSync(join(dataDir, 'PG_VERSION'))) initialise(root, binaries.initdbFlags, dataDir, account);

  const socket = socketFolder(dataDir, account);
  const logFile = `${dataDir}.log`;
  const log = openSync(logFile, 'a', 0o600);
  const settings = Object.entries({ ...SETTINGS, unix_socket_directories: socket });
  const child = spawn(
    join(root, 'bin', 'postgres'),
    ['-D', dataDir, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      ...account,
      cwd: '/',
      // A group of its own: Ctrl-C in the terminal reaches us, and we stop the server in order.
      detached: true,
      stdio: ['ignore', log, log],
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    },
  );
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  });
  const superuser: Connection = {
    host: socket,
    port: PORT,
    user: 'postgres',
    password: readFileSync(`${dataDir}.password`, 'utf8'),
    database: 'postgres',
  };
  const abandon = () => child.kill('SIGINT');
  process.once('exit', abandon);
  await waitUntilReady(superuser, child, logFile);
  const { pid } = child;
  if (pid === undefined) throw new Error('PostgreSQL did not start');
  return {
    pid,
    dataDir,
    superuser,
    exited,
    async stop() {
      process.removeListener('exit', abandon);
      child.kill('SIGINT');
      await exited;
      rmSync(`${dataDir}.owner`, { force: true });
      rmSync(socket, { recursive: true, force: true });
    },
  };
}
