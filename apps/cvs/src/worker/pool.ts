/**
 * Short-lived worker processes. One is started when there is work and none is free, serves a number of key uses, and
 * is let go after that or when it was idle for a while, so that nothing which it had in memory lives long. A worker
 * that dies fails the jobs it had: nothing is tried twice here.
 */
import { ProblemError } from '@astis/protocol';
import type { Job, JobResult } from './jobs.ts';
import { usesOf } from './jobs.ts';
import type { EndReason } from './worker.ts';
import { Worker } from './worker.ts';

export interface PoolOptions {
  /** Given to the workers by name; this process never opens it. */
  readonly rootKeyFile: string;
  readonly size: number;
  /** Key uses before a worker is replaced. */
  readonly maxUses?: number;
  readonly maxIdleMs?: number;
  /** A job that takes longer is given up, and its worker is killed. */
  readonly maxJobMs?: number;
  /** Jobs that may wait or run; more are refused. */
  readonly maxJobs?: number;
  /** For metrics. */
  readonly onEnd?: (why: EndReason) => void;
}

export class WorkerPool {
  readonly #options: Required<PoolOptions>;
  readonly #workers = new Set<Worker>();
  readonly #leaving = new Set<Worker>();
  readonly #idleTimer: NodeJS.Timeout;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = {
      maxUses: 8192,
      maxIdleMs: 60_000,
      maxJobMs: 30_000,
      maxJobs: 1024,
      onEnd: () => undefined,
      ...options,
    };
    this.#idleTimer = setInterval(() => this.#dismissIdle(), this.#options.maxIdleMs / 2);
    this.#idleTimer.unref();
  }

  /** Number of processes, those that are about to end among them. */
  get size(): number {
    return this.#workers.size + this.#leaving.size;
  }

  /** Of the workers that take jobs. */
  get processIds(): readonly number[] {
    return [...this.#workers].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /**
   * Runs a job in a worker.
   * @throws ProblemError `custody_unavailable` when there are too many or the worker dies; WorkerJobError;
   * RootKeyError when workers can't start for its sake
   */
  async run<J extends Job>(job: J): Promise<JobResult<J['kind']>> {
    const worker = this.#pick();
    worker.uses += usesOf(job);
    const result = worker.run(job, this.#options.maxJobMs);
    // The next one starts while this one finishes what it has.
    if (worker.uses >= this.#options.maxUses) this.#dismiss(worker, 'uses');
    return result;
  }

  #pick(): Worker {
    if (this.#closed) throw new ProblemError('custody_unavailable', 'The key custody service is stopping.');
    const workers = [...this.#workers];
    if (workers.reduce((sum, { load }) => sum + load, 0) >= this.#options.maxJobs)
      throw new ProblemError('custody_unavailable', 'The key custody service has too much to do. Try again.');
    const [first, ...others] = workers;
    const freest = others.reduce((best, each) => (each.load < (best?.load ?? 0) ? each : best), first);
    if (freest !== undefined && (freest.load === 0 || workers.length >= this.#options.size)) return freest;
    const worker = new Worker(this.#options.rootKeyFile);
    this.#workers.add(worker);
    void worker.ended.then((why) => {
      this.#workers.delete(worker);
      this.#leaving.delete(worker);
      this.#options.onEnd(why);
    });
    return worker;
  }

  #dismiss(worker: Worker, why: EndReason): void {
    this.#workers.delete(worker);
    this.#leaving.add(worker);
    worker.endWhenDone(why);
  }

  #dismissIdle(): void {
    const since = Date.now() - this.#options.maxIdleMs;
    for (const worker of this.#workers)
      if (worker.load === 0 && worker.lastUsedMs < since) this.#dismiss(worker, 'idle');
  }

  /** Lets the workers finish what they have. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#idleTimer);
    const all = [...this.#workers, ...this.#leaving];
    for (const worker of this.#workers) worker.endWhenDone('closed');
    await Promise.all(all.map((worker) => worker.ended));
  }
}
