/** Where bytes come from: a regular file, which is read at any place, or a stream, which is read once. */
import { randomBytes } from 'node:crypto';
import { createReadStream, ReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, stat, unlink } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { addAbortSignal } from 'node:stream';
import { release } from './chunk-jobs.js';

/** A path, or a stream such as process.stdin. */
export type FileSource = string | Readable;

export type Input =
  | { readonly kind: 'file'; readonly handle: FileHandle; readonly size: number; readonly mtimeNs: bigint }
  | { readonly kind: 'stream'; readonly stream: Readable };

/** A pipe or device given by path is read as a stream. */
export async function openInput(source: FileSource): Promise<Input> {
  if (typeof source !== 'string') return { kind: 'stream', stream: source };
  // Looked at before it is opened: opening a pipe would wait for its writer and take its end.
  if (!(await stat(source)).isFile()) return { kind: 'stream', stream: createReadStream(source) };
  const handle = await open(source, 'r');
  const { size, mtimeNs } = await handle.stat({ bigint: true });
  return { kind: 'file', handle, size: Number(size), mtimeNs };
}

/** Whether a file has changed since it was opened here. */
export async function hasChanged(input: Extract<Input, { kind: 'file' }>): Promise<boolean> {
  const { size, mtimeNs } = await input.handle.stat({ bigint: true });
  return Number(size) !== input.size || mtimeNs !== input.mtimeNs;
}

/** Closes a file. A stream is its owner's to close, and was read to its end or destroyed by then. */
export async function closeInput(input: Input): Promise<void> {
  if (input.kind === 'file') await input.handle.close();
}

const SPOOL_BYTES = 1 << 20;

/** Copies a stream into a nameless temporary file: it is gone as soon as the handle is closed. */
export async function spool(stream: Readable, signal: AbortSignal | undefined): Promise<FileHandle> {
  const path = join(tmpdir(), `astis-${randomBytes(12).toString('hex')}.spool`);
  const handle = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
    const buffer = new ArrayBuffer(SPOOL_BYTES);
    for await (const { length } of cut(stream, SPOOL_BYTES, () => buffer, signal))
      await handle.writeFile(new Uint8Array(buffer, 0, length));
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export interface StreamChunk {
  /** The chunk is in its first `length` bytes. */
  readonly buffer: ArrayBuffer;
  readonly length: number;
  readonly last: boolean;
}

/**
 * Cuts a stream into chunks of `size`. The last one is known as such only when the stream ends, so one full
 * chunk is held back until then. An empty stream gives one empty chunk.
 */
export async function* cut(
  stream: Readable,
  size: number,
  takeBuffer: () => ArrayBuffer,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamChunk, void> {
  if (signal !== undefined) addAbortSignal(signal, stream);
  // Streams of the system give memory away with each piece; left to the garbage collector it would pile up.
  const releases = stream === process.stdin || stream instanceof Socket || stream instanceof ReadStream;
  let buffer = takeBuffer();
  let length = 0;
  for await (const piece of stream) {
    if (!(piece instanceof Uint8Array)) throw new TypeError('the stream does not give bytes');
    for (let at = 0; at < piece.length; ) {
      if (length === size) {
        yield { buffer, length, last: false };
        buffer = takeBuffer();
        length = 0;
      }
      const part = piece.subarray(at, at + size - length);
      new Uint8Array(buffer).set(part, length);
      length += part.length;
      at += part.length;
    }
    if (releases) release(piece);
  }
  yield { buffer, length, last: true };
}
