/** What passes between the main thread and the chunk threads. */
import type { KeyObject } from 'node:crypto';
import type { CryptoErrorCode } from '../../errors.ts';

/** Given to a thread once. Descriptors belong to the process, so a thread can use the main thread's. */
export interface ChunkSetup {
  readonly mode: 'seal' | 'open';
  /** AES-256-GCM key of the chunks, as a handle: its bytes are not copied through JavaScript. */
  readonly key: KeyObject;
  /** Read from here at the chunk's place; undefined when input comes with the job. */
  readonly inputFd: number | undefined;
  /** Written to at the chunk's place; undefined when output goes back with the result. */
  readonly outputFd: number | undefined;
  readonly headerBytes: number;
  /** All chunk hashes, one after another; when opening. */
  readonly chunkHashes: Uint8Array | undefined;
}

/** Chunks `first` to `first + count - 1`; all but the last chunk of an envelope are of full length. */
export interface ChunkJob {
  readonly first: number;
  readonly count: number;
  /** Plaintext bytes of the last chunk of this job. */
  readonly lastLength: number;
  /** Whether that chunk is the envelope's last. */
  readonly ends: boolean;
  /** One chunk's input, in the first bytes of it; moved to the thread and back. */
  readonly input: ArrayBuffer | undefined;
}

export interface ChunkResult {
  /** Plaintext bytes of the job's chunks. */
  readonly plaintextBytes: number;
  /** Hashes of these chunks, when sealing. */
  readonly hashes: Uint8Array;
  /** What the job gave, in order, where it goes to no file. */
  readonly output: readonly Uint8Array[];
  readonly input: ArrayBuffer | undefined;
}

/** An error as it crosses threads: structured clones lose classes and codes. */
export interface ChunkFailure {
  readonly failed: { readonly code: CryptoErrorCode | string; readonly message: string };
}
