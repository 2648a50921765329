/** Servers whose owner was killed go on running, and so do, for a moment, the children of a server that was killed. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { until } from './until.ts';

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    // The process is gone, or it is another user's.
    return undefined;
  }
}

/** The PostgreSQL processes that work in this folder: each of them has it as its working directory. */
function serversIn(dataDir: string): number[] {
  if (existsSync('/proc/self/cwd')) {
    return (
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name) && readLink(`/proc/${name}/cwd`) === dataDir)
        // An upgrade may have removed the file that they run: then the kernel adds a word to its name.
        .filter((name) => /^postgres\b/.test(basename(readLink(`/proc/${name}/exe`) ?? '')))
        .map(Number)
    );
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
