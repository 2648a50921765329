/** What commands that write files share. */
import { existsSync } from 'node:fs';
import { UsageError } from './exit.ts';

export function refuseOverwrite(path: string, force: boolean | undefined): void {
  if (path !== '-' && force !== true && existsSync(path)) {
    throw new UsageError(`${path} is there already; give another name with -o, or --force to overwrite it.`);
  }
}

/** Ctrl-C cancels in order: nothing half written is left. A second one ends the process at once. */
export function cancelOnInterrupt(): { readonly signal: AbortSignal; abort(): void; done(): void } {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new UsageError('Interrupted; nothing was written.'));
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  return {
    signal: controller.signal,
    abort: () => controller.abort(new UsageError('Cancelled; nothing was written.')),
    done() {
      process.removeListener('SIGINT', interrupt);
      process.removeListener('SIGTERM', interrupt);
    },
  };
}
