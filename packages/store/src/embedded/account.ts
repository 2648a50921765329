/**
 * PostgreSQL refuses to run as root, rightly. Where we are root, the server runs as the system user `astis` (made
 * here if need be, else `nobody`), and its binaries and data lie where that user may go.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** For what must lie outside of a folder that only root can enter. Root's own; others may pass through, not look in. */
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
  if (account === undefined || account.uid === 0) {
    throw new Error(
      'PostgreSQL does not run as root, and there is no user `astis` or `nobody` to run it as.',
    );
  }
  return account;
}

function reachable(path: string, account: Account): boolean {
  return spawnSync('test', ['-x', path], { ...account, cwd: '/' }).status === 0;
}

function relocated(wanted: string): string | undefined {
  const isLink = lstatSync(wanted, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  return isLink ? readlinkSync(wanted) : undefined;
}

/**
 * Where the data of `wanted` lies, or will: at `wanted` itself, or, where the account cannot get there, in a folder
 * below /var/lib/astis to which `wanted` is made a symbolic link. So whoever removes or moves `wanted` removes or
 * moves the database with it: a new folder never meets an old database.
 */
export function dataDirFor(wanted: string, account: Account | undefined): string {
  const known = relocated(wanted);
  if (known !== undefined) return known;
  const parent = dirname(wanted);
  mkdirSync(parent, { recursive: true, mode: 0o711 });
  if (account === undefined || existsSync(wanted) || reachable(parent, account)) return wanted;
  mkdirSync(STATE, { recursive: true, mode: 0o711 });
  const elsewhere = join(STATE, `data-${randomBytes(8).toString('hex')}`);
  symlinkSync(elsewhere, wanted);
  return elsewhere;
}

/** `root` itself, or a copy of its tree which the account can read. */
export function binariesFor(root: string, account: Account | undefined): string {
  const server = join(root, 'bin', 'postgres');
  if (account === undefined || reachable(server, account)) return root;
  // Named by content: an upgrade in the same place gets another copy, another checkout the same one.
  const content = createHash('sha256').update(readFileSync(server)).digest('hex');
  const copy = join(STATE, `postgres-${content.slice(0, 16)}`);
  if (!existsSync(copy)) {
    mkdirSync(STATE, { recursive: true, mode: 0o711 });
    const fresh = `${copy}.${process.pid}`;
    cpSync(root, fresh, { recursive: true, verbatimSymlinks: true });
    try {
      // A copy that was cut short has another name, so it is never used.
      renameSync(fresh, copy);
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true });
      // Another process was faster, and its copy is as good.
      if (!existsSync(copy)) throw error;
    }
  }
  return copy;
}
