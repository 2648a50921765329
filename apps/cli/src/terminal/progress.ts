/** A progress bar on stderr for work on more than 10 MB, where somebody is looking. */
import type { Progress } from '@astis/crypto/files';

const SHOWN_FROM = 10_000_000;
const EVERY_MS = 100;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

export function progressBar(what: string): { update(progress: Progress): void; end(): void } {
  const started = Date.now();
  let shownAt = 0;
  const isWatched = process.stderr.isTTY === true;
  return {
    update({ doneBytes, totalBytes }) {
      if (!isWatched || (totalBytes ?? doneBytes) < SHOWN_FROM || Date.now() - shownAt < EVERY_MS) return;
      shownAt = Date.now();
      const rate = `${(doneBytes / 1e3 / Math.max(1, shownAt - started)).toFixed(0)} MB/s`;
      if (totalBytes === undefined) {
        process.stderr.write(`\r\x1b[K${what} ${megabytes(doneBytes)}  ${rate}`);
        return;
      }
      const part = doneBytes / totalBytes;
      const bar = '█'.repeat(Math.round(part * 24)).padEnd(24, '░');
      process.stderr.write(
        `\r\x1b[K${what} ${bar} ${(part * 100).toFixed(0).padStart(3)} %  ${megabytes(doneBytes)}  ${rate}`,
      );
    },
    end() {
      if (shownAt > 0) process.stderr.write('\r\x1b[K');
    },
  };
}
