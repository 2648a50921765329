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
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import pg from 'pg';
import type { Account } from './account.ts';
import { binariesFor, dataDirFor, serverAccount } from './account.ts';
import { stopOrphans } from './orphans.ts';
import { refuseIfOwned, takeOwnership } from './ownership.ts';
import { until } from './until.ts';

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

const PORT = 5432;

// Durability is PostgreSQL's own default; it stands here so that no configuration file can turn it off.
const SETTINGS = {
  listen_addresses: '',
  port: String(PORT),
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // Elsewhere the default reaches the disk; on macOS it stops at the disk's cache.
  ...(process.platform === 'darwin' && { wal_sync_method: 'fsync_writethrough' }),
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

/** Nothing of our own environment: PostgreSQL reads settings and library paths there. */
const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };

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

/** Makes names that were created in a folder as durable as what they name. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The superuser's password, made once and kept beside the data folder for its owner alone. */
function superuserPassword(file: string): string {
  if (!existsSync(file)) {
    writeFileSync(`${file}.new`, randomBytes(32).toString('base64url'), { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    syncFolder(dirname(file));
  }
  return readFileSync(file, 'utf8');
}

function initialise(
  binaries: PostgresBinaries,
  dataDir: string,
  password: string,
  account: Account | undefined,
): void {
  // Made beside and renamed, so that a crash half way leaves nothing that looks like a database.
  const fresh = `${dataDir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  give(fresh, account);
  const passwordFile = `${fresh}.password`;
  writeFileSync(passwordFile, password, { mode: 0o600 });
  give(passwordFile, account);
  try {
    const flags = [
      ...['--pgdata', fresh, '--username', 'postgres', '--pwfile', passwordFile],
      ...['--auth', 'scram-sha-256', '--data-checksums', '--encoding', 'UTF8'],
      ...binaries.initdbFlags,
    ];
    const { status, stderr, error } = spawnSync(join(binaries.root, 'bin', 'initdb'), flags, {
      ...account,
      cwd: '/',
      encoding: 'utf8',
      env: ENVIRONMENT,
    });
    if (status !== 0) throw new Error(`PostgreSQL: initdb failed: ${stderr ?? error?.message}`);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(fresh, dataDir);
  syncFolder(dirname(dataDir));
}

/** Connects until the server answers. Rejects when it ends first. */
async function waitUntilReady(superuser: Connection, child: ChildProcess, logFile: string): Promise<void> {
  let failure: unknown;
  child.once('error', (error) => {
    failure = error;
  });
  await until(async () => {
    if (failure !== undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`PostgreSQL ended while starting; see ${logFile}`, { cause: failure });
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

/**
 * Starts a server on the folder `wanted`, which is made on the first start; its log and the superuser's password lie
 * beside it. Throws DataDirInUseError while another process, or this one, runs a server on it. A server that was left
 * behind by an owner that was killed is stopped first.
 */
export async function startPostgres(binaries: PostgresBinaries, wanted: string): Promise<PostgresServer> {
  const account = serverAccount();
  const place = resolve(wanted);
  const dataDir = dataDirFor(place, account);
  const ownership = takeOwnership(dataDir);
  try {
    return await startOwned(
      { ...binaries, root: binariesFor(binaries.root, account) },
      { dataDir, logFile: `${place}.log`, passwordFile: `${place}.password` },
      account,
      () => ownership.release(),
    );
  } catch (error) {
    ownership.release();
    throw error;
  }
}

interface Files {
  readonly dataDir: string;
  readonly logFile: string;
  readonly passwordFile: string;
}

async function startOwned(
  binaries: PostgresBinaries,
  { dataDir, logFile, passwordFile }: Files,
  account: Account | undefined,
  release: () => void,
): Promise<PostgresServer> {
  const password = superuserPassword(passwordFile);
  const socket = socketFolder(dataDir, account);
  if (existsSync(join(dataDir, 'PG_VERSION'))) {
    await stopOrphans(realpathSync(dataDir));
    // Left by a server that was killed. PostgreSQL would take whatever process has its number now, be it a dead one
    // that nobody has waited for, for that server; we know that there is none.
    for (const file of [join(dataDir, 'postmaster.pid'), join(socket, `.s.PGSQL.${PORT}.lock`)])
      rmSync(file, { force: true });
  } else {
    initialise(binaries, dataDir, password, account);
  }

  const log = openSync(logFile, 'a', 0o600);
  const settings = Object.entries({ ...SETTINGS, unix_socket_directories: socket });
  const child = spawn(
    join(binaries.root, 'bin', 'postgres'),
    ['-D', dataDir, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      ...account,
      cwd: '/',
      // A group of its own: Ctrl-C in the terminal reaches us, and we stop the server in order.
      detached: true,
      stdio: ['ignore', log, log],
      env: ENVIRONMENT,
    },
  );
  closeSync(log);
  const abandon = () => child.kill('SIGINT');
  process.once('exit', abandon);
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  }).then(() => {
    process.removeListener('exit', abandon);
    release();
  });
  const superuser: Connection = {
    host: socket,
    port: PORT,
    user: 'postgres',
    password,
    database: 'postgres',
  };
  try {
    await waitUntilReady(superuser, child, logFile);
  } catch (error) {
    child.kill('SIGQUIT');
    await exited;
    throw error;
  }
  const { pid } = child;
  if (pid === undefined) throw new Error('PostgreSQL did not start');
  return {
    pid,
    dataDir,
    superuser,
    exited,
    async stop() {
      child.kill('SIGINT');
      await exited;
      rmSync(socket, { recursive: true, force: true });
    },
  };
}

/** Removes the database of `wanted` for good. Throws DataDirInUseError while a server runs on it. */
export async function removePostgresData(wanted: string): Promise<void> {
  const place = resolve(wanted);
  const dataDir = dataDirFor(place, undefined);
  refuseIfOwned(dataDir);
  if (existsSync(dataDir)) await stopOrphans(realpathSync(dataDir));
  for (const path of [dataDir, `${dataDir}.owner`, place, `${place}.log`, `${place}.password`]) {
    rmSync(path, { recursive: true, force: true });
  }
}
