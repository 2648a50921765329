/**
 * Progress on stderr for work on more than 10 MB: a bar where somebody is looking, or with --json a line of JSON every
 * second.
 */
import type { Progress } from '@astis/crypto/files';

const SHOWN_FROM = 10_000_000;
const BAR_EVERY_MS = 100;
const JSON_EVERY_MS = 1000;
const BAR_WIDTH = 24;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

function bar({ doneBytes, totalBytes }: Progress, what: string, elapsedMs: number): string {
  const rate = `${(doneBytes / 1e3 / Math.max(1, elapsedMs)).toFixed(0)} MB/s`;
  if (totalBytes === undefined) return `\r\x1b[K${what} ${megabytes(doneBytes)}  ${rate}`;
  const part = doneBytes / totalBytes;
  const filled = '█'.repeat(Math.round(part * BAR_WIDTH)).padEnd(BAR_WIDTH, '░');
  const percent = `${(part * 100).toFixed(0).padStart(3)} %`;
  return `\r\x1b[K${what} ${filled} ${percent}  ${megabytes(doneBytes)}  ${rate}`;
}

export function progressBar(what: string, json: boolean): { update(progress: Progress): void; end(): void } {
  const started = Date.now();
  let shownAt = json ? started : 0;
  let isOpen = false;
  const isWatched = json || process.stderr.isTTY === true;
  return {
    update(progress) {
      const { doneBytes, totalBytes } = progress;
      const now = Date.now();
      if (!isWatched || (totalBytes ?? doneBytes) < SHOWN_FROM) return;
      if (now - shownAt < (json ? JSON_EVERY_MS : BAR_EVERY_MS)) return;
      shownAt = now;
      isOpen = !json;
      process.stderr.write(
        json
          ? `${JSON.stringify({ progress: { what, doneBytes, totalBytes } })}\n`
          : bar(progress, what, now - started),
      );
    },
    end() {
      if (isOpen) process.stderr.write('\r\x1b[K');
      isOpen = false;
    },
  };
}
