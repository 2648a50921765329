/** Servers whose owner was killed go on running, and so do, for a moment, the children of a server that was killed. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

/** Whether this process is PostgreSQL's and works in the folder. */
function isServerIn(dataDir: string, pid: string): boolean {
  try {
    // A dying process loses its memory, the shared part with it, before its working directory: as long as it has the
    // one it may have the other. Its executable is lost first, so that is not asked for.
    return (
      readlinkSync(`/proc/${pid}/cwd`) === dataDir &&
      readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'postgres'
    );
  } catch {
    // It is gone, or another user's.
    return false;
  }
}

/** The PostgreSQL processes that work in this folder: each of them has it as its working directory. */
function serversIn(dataDir: string): number[] {
  if (existsSync('/proc/self/cwd')) {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && isServerIn(dataDir, name))
      .map(Number);
  }
  const { stdout } = spawnSync('lsof', ['-t', '-a', '-d', 'cwd', '-c', 'postgres', '--', dataDir], {
    encoding: 'utf8',
  });
  return (stdout ?? '').split('\n').filter(Boolean).map(Number);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

/**
 * Stops whatever of PostgreSQL still works in the folder. Only for the folder's owner. A server that still has its
 * head is asked to shut down in order; without one there is nothing to save, recovery reads what was committed.
 */
export async function stopOrphans(dataDir: string): Promise<void> {
  if (serversIn(dataDir).length === 0) return;
  const head = readHead(dataDir);
  const isHeadless = () => !serversIn(dataDir).includes(head);
  if (!isHeadless()) {
    signal(head, 'SIGINT');
    await until(isHeadless, 'an earlier server on the same folder does not stop');
  }
  for (const pid of serversIn(dataDir)) signal(pid, 'SIGQUIT');
  await until(() => serversIn(dataDir).length === 0, 'children of an earlier server do not stop');
}

/** The number of the server's first process, 0 if it is not written down. */
function readHead(dataDir: string): number {
  try {
    return Number.parseInt(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8'), 10) || 0;
  } catch {
    return 0;
  }
}
