import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder extends Disposable {
  readonly path: string;
  /** Removes the folder and all that is in it; a second call does nothing. */
  remove(): void;
}

/**
 * A fresh folder below the system's temporary folder, removed by `remove`, by `using`, or at the latest
 * when this process exits.
 */
export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'astis-test-'));
  // Others may pass through, not look in: as root, PostgreSQL runs as another user below.
  chmodSync(path, 0o711);
  const remove = () => {
    process.removeListener('exit', remove);
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', remove);
  return { path, remove, [Symbol.dispose]: remove };
}
