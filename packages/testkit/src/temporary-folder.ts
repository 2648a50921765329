import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder extends Disposable {
  readonly path: string;
  /** Removes the folder and all that is in it; a second call does nothing. */
  remove(): void;
}

/**
 * A fresh folder of mode 0700 below the system's temporary folder, removed by `remove`, by `using`, or at the latest
 * when this process exits.
 */
export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'astis-test-'));
  const remove = () => {
    process.removeListener('exit', remove);
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', remove);
  return { path, remove, [Symbol.dispose]: remove };
}
