/**
 * PostgreSQL refuses to run as root, rightly. Where we are root, the server runs as the system user `astis` (made
 * here if need be, else `nobody`), and its binaries and data lie where that user may go.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const STATE = '/var/lib/astis';

function lookUp(name: string): Account | undefined {
  const id = (flag: string) => spawnSync('id', [flag, name], { encoding: 'utf8' });
  const uid = id('-u');
  const gid = id('-g');
  if (uid.status !== 0 || gid.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** The account to run the server as, or undefined for our own. */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const made = () => {
    spawnSync('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', 'astis']);
    return lookUp('astis');
  };
  const account = lookUp('astis') ?? made() ?? lookUp('nobody');
  if (account === undefined) {
    throw new Error(
      'PostgreSQL does not run as root, and there is no user `astis` or `nobody` to run it as.',
    );
  }
  return account;
}

function reachable(path: string, account: Account): boolean {
  return spawnSync('test', ['-x', path], { ...account, cwd: '/' }).status === 0;
}

const nameFor = (path: string): string => createHash('sha256').update(path).digest('hex').slice(0, 16);

/** A folder like `wanted` which the account can reach: `wanted` itself, or one below /var/lib/astis. */
export function reachableDataDir(wanted: string, account: Account | undefined): string {
  if (account === undefined) return wanted;
  const parent = join(wanted, '..');
  mkdirSync(parent, { recursive: true, mode: 0o711 });
  if (reachable(parent, account)) return wanted;
  mkdirSync(STATE, { recursive: true, mode: 0o711 });
  return join(STATE, `data-${nameFor(wanted)}`);
}

/** `binDir` itself, or a copy of its tree which the account can read. */
export function reachableBinaries(root: string, account: Account | undefined): string {
  if (account === undefined || reachable(join(root, 'bin', 'postgres'), account)) return root;
  const copy = join(STATE, `postgres-${nameFor(root)}`);
  if (!existsSync(copy)) {
    mkdirSync(STATE, { recursive: true, mode: 0o711 });
    const fresh = `${copy}.${process.pid}`;
    cpSync(root, fresh, { recursive: true, verbatimSymlinks: true });
    // A copy that was cut short has another name, so it is never used.
    try {
      renameSync(fresh, copy);
    } catch {
      rmSync(fresh, { recursive: true, force: true });
    }
  }
  return copy;
}
