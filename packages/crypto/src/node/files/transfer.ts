/** Keeps the threads busy and brings results home in order. */
import type { ChunkJob, ChunkResult } from './jobs.ts';
import type { ChunkWorkers } from './workers.ts';

/** Chunks a job when both ends are files: few enough to share work evenly, many enough to make messages rare. */
const CHUNKS_PER_JOB = 8;

export interface Progress {
  readonly doneBytes: number;
  /** Plaintext bytes in all; undefined while a stream's end isn't known. */
  readonly totalBytes: number | undefined;
}

export interface TransferOptions {
  /** Called as chunks are done; the last call has all of them. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Cancels; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether an output file is on disk (fsync), its name too, before the promise resolves. Default true; with
   * false a power cut soon afterwards may lose it, as it may lose what `cp` has just copied.
   */
  readonly durable?: boolean | undefined;
}

/** The jobs of a file of known length. With `oneByOne`, a job is one chunk, so that its output can be handed on. */
export function* jobsFor(
  plaintextBytes: number,
  chunks: number,
  chunkBytes: number,
  oneByOne: boolean,
): Generator<ChunkJob, void> {
  const step = oneByOne ? 1 : CHUNKS_PER_JOB;
  for (let first = 0; first < chunks; first += step) {
    const count = Math.min(step, chunks - first);
    const ends = first + count === chunks;
    const lastLength = ends ? plaintextBytes - (chunks - 1) * chunkBytes : chunkBytes;
    yield { first, count, lastLength, ends, input: undefined };
  }
}

/** Runs all jobs, as many at a time as the workers want, and gives each result to `deliver` in order. */
export async function runJobs(
  workers: ChunkWorkers,
  jobs: Iterable<ChunkJob> | AsyncIterable<ChunkJob>,
  deliver: (result: ChunkResult) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const underWay: Promise<ChunkResult>[] = [];
  const deliverOldest = async (): Promise<void> => {
    const oldest = underWay.shift();
    if (oldest !== undefined) await deliver(await oldest);
  };
  for await (const job of jobs) {
    signal?.throwIfAborted();
    const result = workers.run(job);
    // It is awaited in its turn; until then a failure must not count as unhandled.
    result.catch(() => undefined);
    underWay.push(result);
    if (underWay.length >= workers.width) await deliverOldest();
  }
  while (underWay.length > 0) {
    signal?.throwIfAborted();
    await deliverOldest();
  }
}
