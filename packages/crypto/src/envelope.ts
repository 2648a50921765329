/** Whole envelopes: sealing bytes in memory, and reading any envelope at random. */
import type { Dek, Statement } from '@astis/protocol';
import { CryptoError } from './errors.ts';
import type { SealedHeader } from './header.ts';
import type { Signer } from './signing.ts';

/** Ciphertext of known size which can be read anywhere: a file, a blob, an HTTP range. */
export interface EnvelopeSource {
  readonly size: number;
  /** Exactly `length` bytes from `at`. */
  read(at: number, length: number): Promise<Uint8Array>;
}

export const sourceOf = (bytes: Uint8Array): EnvelopeSource => ({
  size: bytes.length,
  read: (at, length) => Promise.resolve(bytes.subarray(at, at + length)),
});

/** Seals bytes in memory. For files of any size see `@astis/crypto/files`. */
export async function sealEnvelope(
  plaintext: Uint8Array,
  header: SealedHeader,
  dek: Dek,
  signer: Signer,
): Promise<Uint8Array> {
  throw new CryptoError('truncated', `not implemented yet ${plaintext}${header}${dek}${signer}`);
}

/** An envelope whose author was verified; every chunk that comes out of it is. */
export interface EnvelopeReader {
  readonly header: SealedHeader;
  readonly plaintextBytes: number;
  readonly chunks: number;
  /** Plaintext of one chunk. @throws CryptoError `chunk_modified` */
  readChunk(index: number): Promise<Uint8Array>;
  /** `length` bytes of plaintext from `at` (fewer at the end). @throws CryptoError `chunk_modified` */
  read(at: number, length: number): Promise<Uint8Array>;
}

/** Reads and decodes the header only, before any key is known. @throws ProtocolError */
export async function readEnvelopeHeader(source: EnvelopeSource): Promise<SealedHeader> {
  throw new CryptoError('truncated', `not implemented yet ${source}`);
}

/**
 * Opens an envelope for reading. Checks, in this order: the header against the (already verified) statement,
 * the DEK against the commitment, the sealer's signature over all chunk hashes.
 * @throws ProtocolError; CryptoError `truncated`, `header_mismatch`, `statement_mismatch`,
 * `commitment_mismatch`, `signature_invalid`
 */
export async function openEnvelope(
  source: EnvelopeSource,
  dek: Dek,
  statement: Statement,
): Promise<EnvelopeReader> {
  throw new CryptoError('truncated', `not implemented yet ${source}${dek}${statement}`);
}
