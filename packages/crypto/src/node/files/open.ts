/** Opening an envelope of any size in constant memory. */
import { createSecretKey } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { EnvelopeLayout } from '@astis/protocol/formats';
import { CHUNK_BYTES, HASH_BYTES, SIGNATURE_BYTES } from '@astis/protocol/formats';
import { erase, payloadKeyBytes } from '../../dek.ts';
import type { EnvelopeSource, OpeningKey } from '../../envelope.ts';
import { envelopeLayout, readEnvelopeHeader, verifyEnvelope } from '../../envelope.ts';
import { CryptoError } from '../../errors.ts';
import type { SealedHeader } from '../../header.ts';
import type { FileSource } from './input.ts';
import { openInput, spool } from './input.ts';
import type { ChunkResult } from './jobs.ts';
import type { FileSink, Output } from './output.ts';
import { publish } from './output.ts';
import type { TransferOptions } from './transfer.ts';
import { jobsFor, runJobs } from './transfer.ts';
import { startWorkers } from './workers.ts';

/** Plaintext is for its reader only. */
const MODE = 0o600;

/** An envelope at hand: its header can be read (to ask for release) before it is opened. */
export interface EnvelopeFile {
  readonly header: SealedHeader;
  readonly layout: EnvelopeLayout;
  /**
   * Verifies the author, then writes the plaintext. To a path nothing is published before the last chunk was
   * checked; to a stream each chunk is written once it was.
   * @throws CryptoError `statement_mismatch`, `header_mismatch`, `commitment_mismatch`, `signature_invalid`,
   * `chunk_modified`, `source_changed`; errors of the file system; the reason of `signal`
   */
  extract(input: OpeningKey & { readonly sink: FileSink } & TransferOptions): Promise<void>;
  close(): Promise<void>;
}

async function readExactly(handle: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) throw new CryptoError('source_changed', 'the file became shorter while it was read');
    done += bytesRead;
  }
  return bytes;
}

class OpenEnvelopeFile implements EnvelopeFile {
  readonly header: SealedHeader;
  readonly layout: EnvelopeLayout;
  readonly #handle: FileHandle;

  constructor(handle: FileHandle, header: SealedHeader, layout: EnvelopeLayout) {
    this.#handle = handle;
    this.header = header;
    this.layout = layout;
  }

  async extract(input: OpeningKey & { readonly sink: FileSink } & TransferOptions): Promise<void> {
    const { header, layout } = this;
    const { hashesAt, signatureAt, chunks } = layout;
    input.signal?.throwIfAborted();
    const chunkHashes = await readExactly(this.#handle, hashesAt, chunks * HASH_BYTES);
    const signature = await readExactly(this.#handle, signatureAt, SIGNATURE_BYTES);
    verifyEnvelope({ header, layout, chunkHashes, signature }, input);
    await publish(input.sink, MODE, input, (output) => this.#write(output, chunkHashes, input));
  }

  async #write(output: Output, chunkHashes: Uint8Array, input: OpeningKey & TransferOptions): Promise<void> {
    const { headerBytes, plaintextBytes, chunks } = this.layout;
    const rawKey = payloadKeyBytes(input.dek, this.header.hash);
    const key = createSecretKey(rawKey);
    erase(rawKey);
    const inputFd = this.#handle.fd;
    const setup = { mode: 'open', key, inputFd, outputFd: output.fd, headerBytes, chunkHashes } as const;
    const workers = startWorkers(setup, chunks);
    let doneBytes = 0;

    async function deliver(result: ChunkResult): Promise<void> {
      for (const part of result.output) await output.handOver(part);
      output.wrote(result.plaintextBytes);
      doneBytes += result.plaintextBytes;
      input.onProgress?.({ doneBytes, totalBytes: plaintextBytes });
    }

    try {
      const jobs = jobsFor(plaintextBytes, chunks, CHUNK_BYTES, output.fd === undefined);
      await runJobs(workers, jobs, deliver, input.signal);
    } finally {
      await workers.close();
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function handleOf(source: FileSource, signal: AbortSignal | undefined): Promise<FileHandle> {
  const input = await openInput(source);
  if (input.kind === 'file') return input.handle;
  try {
    return await spool(input.stream, signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/**
 * Opens an envelope. A stream is spooled (ciphertext only) to a temporary file first, which `close` removes.
 * @throws ProtocolError when it is no envelope; CryptoError `truncated`; errors of the file system
 */
export async function openEnvelopeFile(
  source: FileSource,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<EnvelopeFile> {
  const handle = await handleOf(source, options.signal);
  try {
    const { size } = await handle.stat();
    const bytes: EnvelopeSource = { size, read: (at, length) => readExactly(handle, at, length) };
    const header = await readEnvelopeHeader(bytes);
    return new OpenEnvelopeFile(handle, header, envelopeLayout(header, size));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** {@link openEnvelopeFile}, `extract` and `close` in one. */
export async function openFile(
  input: OpeningKey & { readonly source: FileSource; readonly sink: FileSink } & TransferOptions,
): Promise<void> {
  const file = await openEnvelopeFile(input.source, input);
  try {
    await file.extract(input);
  } finally {
    await file.close();
  }
}
