/** Where bytes go: a file that appears complete or not at all, or a stream. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, unlinkSync, WriteStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, realpath, rename, stat, unlink } from 'node:fs/promises';
import { Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { release } from './chunk-jobs.js';
import type { TransferOptions } from './transfer.ts';

/** A path, or a stream such as process.stdout (which is not ended). */
export type FileSink = string | Writable;

/** After so many bytes the system is told to begin writing to disk, so that the final sync has little left. */
const FLUSH_BYTES = 64 << 20;

export type OutputOptions = Pick<TransferOptions, 'signal' | 'durable'>;

export interface Output {
  /** The file that chunks may be written into at their place; undefined for a stream. */
  readonly fd: number | undefined;
  /** To a file, at `at`; to a stream, next (calls come in order). */
  write(bytes: Uint8Array, at: number): Promise<void>;
  /** The same for the next of a stream, where the caller has no more use for the bytes. */
  handOver(bytes: Uint8Array): Promise<void>;
  /** Tells that chunks were written into `fd`. */
  wrote(bytes: number): void;
  /** Publishes: a file is on disk and has its name when this is done. */
  commit(): Promise<void>;
  /** Leaves nothing behind. */
  discard(): Promise<void>;
}

/** Partial files that must not outlive the process, whatever ends it (but for SIGKILL). */
const partial = new Set<string>();

function removePartial(): void {
  for (const path of partial) {
    try {
      unlinkSync(path);
    } catch {
      // Gone already, or not ours to remove any more: there is nobody left to tell.
    }
  }
}

function track(path: string): void {
  if (partial.size === 0) process.once('exit', removePartial);
  partial.add(path);
}

function untrack(path: string): void {
  partial.delete(path);
  if (partial.size === 0) process.off('exit', removePartial);
}

/** A rename is durable once the folder is. Some file systems can't sync a folder; theirs is then as good as it gets. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && (error.code === 'EINVAL' || error.code === 'EPERM')))
      throw error;
  } finally {
    await folder.close();
  }
}

class FileOutput implements Output {
  readonly #path: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #durable: boolean;
  #unflushed = 0;
  #flushing: Promise<void> | undefined;
  #closed = false;

  constructor(path: string, temporary: string, handle: FileHandle, durable: boolean) {
    this.#durable = durable;
    this.#path = path;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  get fd(): number {
    return this.#handle.fd;
  }

  async write(bytes: Uint8Array, at: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
  }

  handOver(): Promise<void> {
    throw new Error('threads write into a file themselves');
  }

  wrote(bytes: number): void {
    if (!this.#durable) return;
    this.#unflushed += bytes;
    if (this.#unflushed < FLUSH_BYTES || this.#flushing !== undefined) return;
    this.#unflushed = 0;
    // What fails here fails again, and is reported, in the sync of commit().
    this.#flushing = this.#handle
      .datasync()
      .catch(() => undefined)
      .then(() => {
        this.#flushing = undefined;
      });
  }

  async commit(): Promise<void> {
    await this.#flushing;
    if (this.#durable) await this.#handle.sync();
    await this.#close();
    await rename(this.#temporary, this.#path);
    untrack(this.#temporary);
    if (this.#durable) await syncFolder(dirname(this.#path));
  }

  async discard(): Promise<void> {
    await this.#flushing;
    await this.#close();
    await unlink(this.#temporary).catch(() => undefined);
    untrack(this.#temporary);
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }
}

class StreamOutput implements Output {
  readonly fd = undefined;
  readonly #stream: Writable;
  readonly #owned: boolean;
  /** Streams of the system are done with memory once they call back; others may hold on to it. */
  readonly #releases: boolean;
  readonly #signal: AbortSignal | undefined;
  /** Each write is told of its own failure; the event that follows must not end the process as unhandled. */
  readonly #ignore = (): void => undefined;

  constructor(stream: Writable, owned: boolean, signal: AbortSignal | undefined) {
    this.#stream = stream;
    this.#owned = owned;
    this.#releases = stream === process.stdout || stream instanceof Socket || stream instanceof WriteStream;
    this.#signal = signal;
    stream.on('error', this.#ignore);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(this.#signal?.reason);
      this.#signal?.addEventListener('abort', abort, { once: true });
      this.#stream.write(bytes, (error) => {
        this.#signal?.removeEventListener('abort', abort);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  async handOver(bytes: Uint8Array): Promise<void> {
    await this.write(bytes);
    if (this.#releases) release(bytes);
  }

  wrote(): void {
    // Nothing to flush.
  }

  async commit(): Promise<void> {
    if (this.#owned) {
      this.#stream.end();
      await once(this.#stream, 'close');
    }
    await this.#letGo();
  }

  async discard(): Promise<void> {
    if (this.#owned) this.#stream.destroy();
    await this.#letGo();
  }

  async #letGo(): Promise<void> {
    // A failed write's event comes in the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.#owned) this.#stream.off('error', this.#ignore);
  }
}

async function existing(
  path: string,
): Promise<{ readonly path: string; readonly regular: boolean } | undefined> {
  try {
    // Through links: a link stays a link, and its target is replaced.
    const target = await realpath(path);
    return { path: target, regular: (await stat(target)).isFile() };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** `mode` is for a new file, before the umask. A pipe or device given by path is written as a stream. */
async function openOutput(
  sink: FileSink,
  mode: number,
  { signal, durable = true }: OutputOptions,
): Promise<Output> {
  if (typeof sink !== 'string') return new StreamOutput(sink, false, signal);
  const found = await existing(sink);
  if (found !== undefined && !found.regular) return new StreamOutput(createWriteStream(sink), true, signal);
  const path = found?.path ?? sink;
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`);
  track(temporary);
  try {
    return new FileOutput(path, temporary, await open(temporary, 'wx', mode), durable);
  } catch (error) {
    untrack(temporary);
    throw error;
  }
}

/**
 * Opens the output, lets `write` fill it, and publishes it; or leaves nothing behind.
 * @throws what `write` throws, or the signal's reason when it was aborted
 */
export async function publish<T>(
  sink: FileSink,
  mode: number,
  options: OutputOptions,
  write: (output: Output) => Promise<T>,
): Promise<T> {
  const { signal } = options;
  const output = await openOutput(sink, mode, options);
  try {
    const result = await write(output);
    signal?.throwIfAborted();
    await output.commit();
    return result;
  } catch (error) {
    await output.discard();
    // Streams destroyed by the signal fail with an error of their own.
    signal?.throwIfAborted();
    throw error;
  }
}
