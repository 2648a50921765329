/** One worker process, seen from the main process. */
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ProblemError } from '@astis/protocol';
import type { Job, JobKind, JobResult } from './jobs.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { isRootKeyErrorCode, RootKeyError } from './root-key.ts';

/** A job failed inside the worker. The code is a CryptoError's, a ProtocolError's, or `internal`. */
export class WorkerJobError extends Error {
  override readonly name = 'WorkerJobError';
  readonly code: string;

  constructor(code: string) {
    super(`a custody job failed: ${code}`);
    this.code = code;
  }
}

export type EndReason = 'uses' | 'idle' | 'closed' | 'crash' | 'timeout';

interface Pending {
  resolve(result: JobResult<JobKind>): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

// Nothing is inherited. The permission model takes file writes, child processes, threads and the inspector away
// from whatever might come to run in there, and V8 the making of code from strings.
const FLAGS = [
  '--permission',
  '--allow-fs-read=*',
  '--disable-sigusr1',
  '--disallow-code-generation-from-strings',
  '--max-old-space-size=256',
];
const PROGRAM = fileURLToPath(new URL('./process.ts', import.meta.url));

const unavailable = (): ProblemError =>
  new ProblemError('custody_unavailable', 'A custody worker ended before it was done. Try again.');

export class Worker {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  readonly #ready: Promise<void>;
  /** Resolves when the process is gone, with the reason. */
  readonly ended: Promise<EndReason>;
  /** Key uses so far. */
  uses = 0;
  lastUsedMs: number = Date.now();
  #nextId = 0;
  #ending: EndReason | undefined;

  constructor(rootKeyFile: string) {
    const child = fork(PROGRAM, [], {
      execArgv: FLAGS,
      env: {},
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child = child;
    this.ended = new Promise((resolve) => {
      const end = () => {
        for (const { reject, timer } of this.#pending.values()) {
          clearTimeout(timer);
          reject(unavailable());
        }
        this.#pending.clear();
        resolve(this.#ending ?? 'crash');
      };
      child.once('exit', end);
      child.once('error', end);
    });
    this.#ready = new Promise((resolve, reject) => {
      void this.ended.then(() => reject(unavailable()));
      child.on('message', (message: FromWorker) => {
        if (message.type === 'ready') resolve();
        else if (message.type === 'unfit') {
          reject(isRootKeyErrorCode(message.code) ? new RootKeyError(message.code) : unavailable());
          child.kill('SIGKILL');
        } else this.#settle(message);
      });
    });
    this.#ready.catch(() => undefined);
    this.#send({ type: 'start', rootKeyFile });
  }

  /** Jobs that wait or run. */
  get load(): number {
    return this.#pending.size;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  #send(message: ToWorker): void {
    // A worker that is gone takes no message; `ended` settles what was asked of it.
    this.#child.send(message, () => undefined);
  }

  #settle(message: Extract<FromWorker, { readonly id: number }>): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    this.#pending.delete(message.id);
    clearTimeout(pending.timer);
    this.lastUsedMs = Date.now();
    if (message.type === 'done') pending.resolve(message.result);
    else pending.reject(new WorkerJobError(message.code));
    if (this.#ending !== undefined) this.endWhenDone(this.#ending);
  }

  run<J extends Job>(job: J, maxJobMs: number): Promise<JobResult<J['kind']>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#ending = 'timeout';
        this.#child.kill('SIGKILL');
      }, maxJobMs);
      // The worker answers a job with the result of its kind.
      this.#pending.set(id, { resolve: (result) => resolve(result as JobResult<J['kind']>), reject, timer });
      this.#ready.then(
        () => this.#send({ type: 'job', id, job }),
        (error) => {
          clearTimeout(timer);
          this.#pending.delete(id);
          reject(error);
        },
      );
    });
  }

  endWhenDone(why: EndReason): void {
    this.#ending = why;
    if (this.load === 0 && this.#child.connected) this.#child.disconnect();
  }
}
