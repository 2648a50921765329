/** Where chunk jobs run: on threads, or at once in this one when there are too few to be worth starting any. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { CryptoErrorCode } from '../../errors.ts';
import { CryptoError } from '../../errors.ts';
import { chunkWorker } from './chunk-jobs.js';
import type { ChunkFailure, ChunkJob, ChunkResult, ChunkSetup } from './jobs.ts';

/** Up to this many chunks, starting a thread takes longer than the work. */
const INLINE_CHUNKS = 4;
/** More threads than these find the disk or the memory bus busy, and each takes 15 MB. */
const MAX_THREADS = 4;
/** Jobs waiting in each thread beside the one being done, so that it never idles between messages. */
const QUEUED = 2;

export interface ChunkWorkers {
  /** How many jobs to keep under way. */
  readonly width: number;
  /** @throws CryptoError `chunk_modified`, `source_changed`; errors of the file system */
  run(job: ChunkJob): Promise<ChunkResult>;
  close(): Promise<void>;
}

const CRYPTO_CODES: readonly string[] = ['chunk_modified', 'source_changed'] satisfies CryptoErrorCode[];
const isCryptoCode = (code: string): code is CryptoErrorCode => CRYPTO_CODES.includes(code);

const errorOf = ({ code, message }: ChunkFailure['failed']): Error =>
  isCryptoCode(code) ? new CryptoError(code, message) : Object.assign(new Error(message), { code });

interface Pending {
  readonly resolve: (result: ChunkResult) => void;
  readonly reject: (error: Error) => void;
}

class ChunkThread {
  readonly #worker: Worker;
  /** Oldest first: a thread answers in order. */
  #pending: Pending[] = [];

  constructor(setup: ChunkSetup) {
    this.#worker = new Worker(new URL('thread.js', import.meta.url), {
      workerData: setup,
      // Threads strip no types; flags of the main thread would only slow their start.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.on('message', (answer: ChunkResult | ChunkFailure) => {
      const next = this.#pending.shift();
      if ('failed' in answer) next?.reject(errorOf(answer.failed));
      else next?.resolve(answer);
    });
    this.#worker.on('error', (error) =>
      this.#fail(error instanceof Error ? error : new Error('thread failed')),
    );
    this.#worker.on('exit', () => this.#fail(new Error('a chunk thread ended early')));
  }

  get load(): number {
    return this.#pending.length;
  }

  run(job: ChunkJob): Promise<ChunkResult> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.#worker.postMessage(job, job.input === undefined ? [] : [job.input]);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(error: Error): void {
    for (const { reject } of this.#pending) reject(error);
    this.#pending = [];
  }
}

function onThreads(setup: ChunkSetup, count: number): ChunkWorkers {
  const threads = Array.from({ length: count }, () => new ChunkThread(setup));
  return {
    width: count * (1 + QUEUED),
    run: (job) => threads.reduce((least, thread) => (thread.load < least.load ? thread : least)).run(job),
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

function inline(setup: ChunkSetup): ChunkWorkers {
  const work = chunkWorker(setup);
  return {
    width: 1,
    async run(job) {
      // One turn of the event loop between jobs, so that signals and timers get theirs.
      await new Promise((resolve) => setImmediate(resolve));
      try {
        return work(job);
      } catch (error) {
        if (!(error instanceof Error) || !('code' in error)) throw error;
        throw errorOf({ code: String(error.code), message: error.message });
      }
    },
    close: async () => undefined,
  };
}

/** Decides when the first job of a stream shows whether there will be more. */
function onDemand(setup: ChunkSetup, count: number): ChunkWorkers {
  let workers: ChunkWorkers | undefined;
  return {
    width: count * (1 + QUEUED),
    run(job) {
      workers ??= job.ends ? inline(setup) : onThreads(setup, count);
      return workers.run(job);
    },
    close: async () => workers?.close(),
  };
}

/** `chunks` is undefined where a stream's length isn't known. */
export function startWorkers(setup: ChunkSetup, chunks: number | undefined): ChunkWorkers {
  const count = Math.min(availableParallelism(), MAX_THREADS);
  if (chunks === undefined) return onDemand(setup, count);
  return chunks <= INLINE_CHUNKS ? inline(setup) : onThreads(setup, count);
}
