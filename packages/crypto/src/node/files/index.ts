/**
 * `@astis/crypto/files` (Node only): sealing and opening files and streams of any size in constant memory, off
 * the main thread. Output to a path is written beside it and renamed when complete and on disk; on failure or
 * cancel nothing is left.
 */
import type { Readable, Writable } from 'node:stream';
import type { Dek, EnvelopeLayout } from '@astis/protocol';
import type { OpeningKey } from '../../envelope.ts';
import { CryptoError } from '../../errors.ts';
import type { SealedHeader } from '../../header.ts';
import type { Signer } from '../../signing.ts';

/** A path, or a stream such as process.stdin. */
export type FileSource = string | Readable;
/** A path, or a stream such as process.stdout (which is not ended). */
export type FileSink = string | Writable;

export interface Progress {
  readonly doneBytes: number;
  /** Plaintext bytes in all; undefined while a stream's end isn't known. */
  readonly totalBytes: number | undefined;
}

export interface TransferOptions {
  /** Called now and then, and once at the end. */
  readonly onProgress?: (progress: Progress) => void;
  /** Cancels; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** @throws CryptoError `source_changed`; errors of the file system */
export async function sealFile(
  input: {
    readonly source: FileSource;
    readonly sink: FileSink;
    readonly header: SealedHeader;
    readonly dek: Dek;
    readonly signer: Signer;
  } & TransferOptions,
): Promise<EnvelopeLayout> {
  throw new CryptoError('truncated', `not implemented yet ${input}`);
}

/** An envelope at hand: its header can be read (to ask for release) before it is opened. */
export interface EnvelopeFile {
  readonly header: SealedHeader;
  readonly layout: EnvelopeLayout;
  /**
   * Verifies the author, then writes the plaintext. To a path nothing is published before the last chunk was
   * checked; to a stream each chunk is written once it was.
   * @throws CryptoError `header_mismatch`, `statement_mismatch`, `commitment_mismatch`, `signature_invalid`,
   * `chunk_modified`, `truncated`
   */
  extract(input: OpeningKey & { readonly sink: FileSink } & TransferOptions): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens an envelope. A stream is spooled (ciphertext only) to a temporary file first, which `close` removes.
 * @throws ProtocolError when it is no envelope; errors of the file system
 */
export async function openEnvelopeFile(
  source: FileSource,
  options: { readonly signal?: AbortSignal } = {},
): Promise<EnvelopeFile> {
  throw new CryptoError('truncated', `not implemented yet ${source} ${options}`);
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
