/** What commands that write files share. */
import { randomBytes } from 'node:crypto';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InterruptedError, UsageError } from './exit.ts';

export function refuseOverwrite(path: string, force: boolean | undefined): void {
  if (path !== '-' && force !== true && existsSync(path) && statSync(path).isFile()) {
    throw new UsageError(`${path} is there already; give another name with -o, or --force to overwrite it.`);
  }
}

/** Refuses early what can not be read, before anything is asked of the gateway. @throws errors of the file system */
export function checkReadable(path: string): void {
  if (path !== '-' && statSync(path).isDirectory())
    throw new UsageError(`${path} is a folder; give a file, or pack it: tar c ${path} | astis seal - …`);
}

/** Ctrl-C cancels in order: nothing half written is left. A second one ends the process at once. */
export function cancelOnInterrupt(): {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  done(): void;
} {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new InterruptedError());
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    done() {
      process.removeListener('SIGINT', interrupt);
      process.removeListener('SIGTERM', interrupt);
    },
  };
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    // Some file systems can't; a rename is as durable there as it gets.
    await folder.sync().catch(() => undefined);
  } finally {
    await folder.close();
  }
}

/**
 * Lets `write` fill a file beside `path`, which gets its name only when `write` is done: so that it is there complete
 * or not at all. Pipes and devices are written to directly.
 */
export async function published<T>(path: string, write: (path: string) => Promise<T>): Promise<T> {
  const isThere = existsSync(path);
  if (isThere && !statSync(path).isFile()) return write(path);
  // Through links: a link stays one, and what it leads to is replaced.
  const target = isThere ? realpathSync(path) : path;
  const folder = dirname(target);
  const beside = join(folder, `.${basename(target)}.${randomBytes(6).toString('hex')}.partial`);
  try {
    const result = await write(beside);
    await rename(beside, target);
    await syncFolder(folder);
    return result;
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
