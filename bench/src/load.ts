/**
 * Load over HTTPS from a process of its own: `connections` requests at once, each taken from what the parent sends as
 * prepared requests, so that signing them costs the measured time nothing.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface PreparedRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface LoadPlan {
  readonly origin: string;
  readonly ca: string;
  readonly connections: number;
  readonly requests: readonly PreparedRequest[];
}

export interface LoadResult {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly failed: number;
  /** The status of the first that failed. */
  readonly firstFailure?: string;
}

export function runLoad(plan: LoadPlan): Promise<LoadResult> {
  const child = fork(fileURLToPath(new URL('load-worker.ts', import.meta.url)), {
    serialization: 'advanced',
  });
  return new Promise((resolve, reject) => {
    child.once('message', (result) => {
      resolve(result as LoadResult);
      child.disconnect();
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the load process ended with ${code}`)));
    child.send(plan);
  });
}
