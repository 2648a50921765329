/** One live process owns a data folder: its number and start time stand in a file beside the folder. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isZombie } from './zombie.ts';

/** Another live process owns the data folder, or this one already runs a server on it. */
export class DataDirInUseError extends Error {
  override readonly name = 'DataDirInUseError';
  readonly code = 'data_dir_in_use';
}

export interface Ownership {
  release(): void;
}

const ours = new Set<string>();

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

const alive = (pid: number): boolean => {
  if (isZombie(pid)) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return hasCode(error, 'EPERM');
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

const identity = (): string => `${process.pid} ${startTime(process.pid)}`;

function liveOwner(content: string): number | undefined {
  const [pid = '', started = ''] = content.split(' ');
  const owner = Number(pid);
  return owner > 0 && owner !== process.pid && alive(owner) && startTime(owner) === started
    ? owner
    : undefined;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Rejects with DataDirInUseError while the owner of the folder lives. */
export function refuseIfOwned(dataDir: string): void {
  const owner = ours.has(dataDir) ? process.pid : liveOwner(read(`${dataDir}.owner`) ?? '');
  if (owner !== undefined) {
    throw new DataDirInUseError(`Process ${owner} already runs a server on ${dataDir}; stop that one first.`);
  }
}

/** Takes the folder from nobody, or from an owner that is dead. Throws DataDirInUseError. */
export function takeOwnership(dataDir: string): Ownership {
  const file = `${dataDir}.owner`;
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, identity(), { mode: 0o600 });
  try {
    for (;;) {
      refuseIfOwned(dataDir);
      try {
        // The file appears with its content, or not at all; of two who try, one gets it.
        linkSync(mine, file);
        break;
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
      }
      const dead = read(file);
      if (dead === undefined || liveOwner(dead) !== undefined) continue;
      const aside = `${mine}.dead`;
      renameSync(file, aside);
      // Between the two calls somebody else may have taken it: then give it back.
      if (read(aside) !== dead) linkSync(aside, file);
      rmSync(aside);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  ours.add(dataDir);
  return {
    release() {
      if (ours.delete(dataDir)) rmSync(file, { force: true });
    },
  };
}
