/** Sealing a file or stream of any size in constant memory. */
import { createSecretKey } from 'node:crypto';
import type { Dek, EnvelopeLayout } from '@astis/protocol/formats';
import { CHUNK_BYTES, concat, layoutFor } from '@astis/protocol/formats';
import { erase, payloadKeyBytes } from '../../dek.ts';
import { CryptoError } from '../../errors.ts';
import type { SealedHeader } from '../../header.ts';
import { signPayload } from '../../payload.ts';
import type { Signer } from '../../signing.ts';
import type { FileSource, Input } from './input.ts';
import { closeInput, cut, hasChanged, openInput } from './input.ts';
import type { ChunkJob, ChunkResult } from './jobs.ts';
import type { FileSink, Output } from './output.ts';
import { publish } from './output.ts';
import type { TransferOptions } from './transfer.ts';
import { jobsFor, runJobs } from './transfer.ts';
import { startWorkers } from './workers.ts';

export interface SealFileInput extends TransferOptions {
  readonly source: FileSource;
  readonly sink: FileSink;
  readonly header: SealedHeader;
  readonly dek: Dek;
  readonly signer: Signer;
}

/** Readable for others as the umask allows: an envelope is no secret. */
const MODE = 0o666;

/** Reads a stream into jobs; buffers come back with the results and are used again. */
async function* streamJobs(
  input: Extract<Input, { kind: 'stream' }>,
  spare: ArrayBuffer[],
  signal: AbortSignal | undefined,
): AsyncGenerator<ChunkJob, void> {
  let first = 0;
  const takeBuffer = (): ArrayBuffer => spare.pop() ?? new ArrayBuffer(CHUNK_BYTES);
  for await (const { buffer, length, last } of cut(input.stream, CHUNK_BYTES, takeBuffer, signal)) {
    yield { first, count: 1, lastLength: length, ends: last, input: buffer };
    first++;
  }
}

async function sealTo(output: Output, input: Input, options: SealFileInput): Promise<EnvelopeLayout> {
  const { header, dek, signer, signal, onProgress } = options;
  const headerBytes = header.bytes.length;
  const size = input.kind === 'file' ? input.size : undefined;
  const known = size === undefined ? undefined : layoutFor(headerBytes, size);
  const rawKey = payloadKeyBytes(dek, header.hash);
  const key = createSecretKey(rawKey);
  erase(rawKey);
  const inputFd = input.kind === 'file' ? input.handle.fd : undefined;
  const setup = {
    mode: 'seal',
    key,
    inputFd,
    outputFd: output.fd,
    headerBytes,
    chunkHashes: undefined,
  } as const;
  const workers = startWorkers(setup, known?.chunks);
  const hashes: Uint8Array[] = [];
  const spare: ArrayBuffer[] = [];
  let plaintextBytes = 0;

  async function deliver(result: ChunkResult): Promise<void> {
    hashes.push(result.hashes);
    if (result.input !== undefined) spare.push(result.input);
    for (const part of result.output) await output.handOver(part);
    output.wrote(result.plaintextBytes);
    plaintextBytes += result.plaintextBytes;
    onProgress?.({ doneBytes: plaintextBytes, totalBytes: size });
  }

  try {
    await output.write(header.bytes, 0);
    const jobs =
      input.kind === 'stream'
        ? streamJobs(input, spare, signal)
        : jobsFor(input.size, known?.chunks ?? 1, CHUNK_BYTES, output.fd === undefined);
    await runJobs(workers, jobs, deliver, signal);
    if (input.kind === 'file' && (await hasChanged(input)))
      throw new CryptoError('source_changed', 'the file was changed while it was sealed');
    const layout = layoutFor(headerBytes, plaintextBytes);
    const chunkHashes = concat(...hashes);
    const { artifactId } = header.header;
    const digest = { artifactId, headerHash: header.hash, plaintextBytes, chunkHashes };
    const signature = await signPayload(digest, signer);
    await output.write(concat(chunkHashes, signature), layout.hashesAt);
    return layout;
  } finally {
    await workers.close();
    for (const buffer of spare) erase(new Uint8Array(buffer));
  }
}

/**
 * Writes an envelope. To a path it appears complete and on disk, or not at all.
 * @throws CryptoError `source_changed`; errors of the file system; the reason of `signal`
 */
export async function sealFile(options: SealFileInput): Promise<EnvelopeLayout> {
  const { source, sink, signal } = options;
  signal?.throwIfAborted();
  const input = await openInput(source);
  try {
    return await publish(sink, MODE, options, (output) => sealTo(output, input, options));
  } finally {
    await closeInput(input);
  }
}
