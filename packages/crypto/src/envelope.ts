/** Whole envelopes: sealing bytes in memory, and reading any envelope at random. */
import type { Dek, EnvelopeLayout, KeyCertificate, Statement } from '@astis/protocol/formats';
import {
  CHUNK_BYTES,
  concat,
  equalBytes,
  HASH_BYTES,
  headerLength,
  layoutFor,
  layoutOf,
  PREAMBLE_BYTES,
  ProtocolError,
  SIGNATURE_BYTES,
  TAG_BYTES,
} from '@astis/protocol/formats';
import { checkCommitment } from './dek.ts';
import { CryptoError } from './errors.ts';
import type { SealedHeader } from './header.ts';
import { readHeader } from './header.ts';
import { decryptChunk, encryptChunk, payloadKey, signPayload, verifyPayload } from './payload.ts';
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

/** What opens an envelope: the DEK, and what was verified about it. `openCapsule` gives all three. */
export interface OpeningKey {
  readonly dek: Dek;
  readonly statement: Statement;
  readonly sealer: KeyCertificate;
}

/** Seals bytes in memory. For files of any size see `@astis/crypto/files`. */
export async function sealEnvelope(
  plaintext: Uint8Array,
  header: SealedHeader,
  dek: Dek,
  signer: Signer,
): Promise<Uint8Array> {
  const layout = layoutFor(header.bytes.length, plaintext.length);
  const key = await payloadKey(dek, header.hash);
  const sealed = await Promise.all(
    Array.from({ length: layout.chunks }, (_, i) => {
      const chunk = plaintext.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
      return encryptChunk(key, i, i === layout.chunks - 1, chunk);
    }),
  );
  const chunkHashes = concat(...sealed.map(({ hash }) => hash));
  const digest = {
    artifactId: header.header.artifactId,
    headerHash: header.hash,
    plaintextBytes: plaintext.length,
    chunkHashes,
  };
  const signature = await signPayload(digest, signer);
  return concat(header.bytes, ...sealed.map(({ ciphertext }) => ciphertext), chunkHashes, signature);
}

/** Where chunk `index` stands in the file, and how long it is there. */
export function chunkAt(
  layout: EnvelopeLayout,
  index: number,
): { readonly at: number; readonly length: number } {
  const at = layout.headerBytes + index * (CHUNK_BYTES + TAG_BYTES);
  return { at, length: Math.min(CHUNK_BYTES + TAG_BYTES, layout.hashesAt - at) };
}

/** Reads and decodes the header only, before any key is known. @throws ProtocolError */
export async function readEnvelopeHeader(source: EnvelopeSource): Promise<SealedHeader> {
  const preamble = await source.read(0, Math.min(PREAMBLE_BYTES, source.size));
  const length = PREAMBLE_BYTES + headerLength(preamble);
  return readHeader(await source.read(0, Math.min(length, source.size)));
}

/** The layout that a file of this size must have. @throws CryptoError `truncated` */
export function envelopeLayout(header: SealedHeader, fileBytes: number): EnvelopeLayout {
  try {
    return layoutOf(header.bytes.length, fileBytes);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new CryptoError('truncated', 'the envelope is cut off, or something was added to it');
  }
}

/**
 * The checks that come before any chunk: the header is the statement's (same artifact, tenant, sealer, bytes
 * and certified key), the DEK is the one that both commit to, and the sealer signed these chunk hashes.
 * @throws CryptoError `statement_mismatch`, `header_mismatch`, `commitment_mismatch`, `signature_invalid`
 */
export function verifyEnvelope(
  envelope: {
    readonly header: SealedHeader;
    readonly layout: EnvelopeLayout;
    readonly chunkHashes: Uint8Array;
    readonly signature: Uint8Array;
  },
  { dek, statement, sealer }: OpeningKey,
): void {
  const { header, hash } = envelope.header;
  if (
    header.artifactId !== statement.artifactId ||
    header.tenantId !== statement.tenantId ||
    header.sealer !== statement.sealer
  )
    throw new CryptoError('statement_mismatch', 'the statement is about another artifact');
  if (!equalBytes(hash, statement.headerHash))
    throw new CryptoError('header_mismatch', 'the header is not the one that the sealer stated');
  if (sealer.signingKey === undefined || !equalBytes(header.sealerKey, sealer.signingKey))
    throw new CryptoError('header_mismatch', 'the header names another key than the sealer has');
  if (!equalBytes(header.commitment, statement.commitment))
    throw new CryptoError('commitment_mismatch', 'header and statement commit to different keys');
  checkCommitment(dek, header.artifactId, header.commitment);
  verifyPayload(
    {
      artifactId: header.artifactId,
      headerHash: hash,
      plaintextBytes: envelope.layout.plaintextBytes,
      chunkHashes: envelope.chunkHashes,
    },
    envelope.signature,
    sealer.signingKey,
  );
}

/** An envelope whose author was verified, and so is every chunk that comes out of it. */
export interface EnvelopeReader {
  readonly header: SealedHeader;
  readonly plaintextBytes: number;
  readonly chunks: number;
  /** Plaintext of one chunk. @throws RangeError; CryptoError `chunk_modified` */
  readChunk(index: number): Promise<Uint8Array>;
  /** `length` bytes of plaintext from `at` (fewer at the end). @throws CryptoError `chunk_modified` */
  read(at: number, length: number): Promise<Uint8Array>;
}

/**
 * Opens an envelope for reading, in any order: {@link verifyEnvelope} on the header and the file's end first;
 * each chunk is checked against its signed hash as it is read.
 * @throws ProtocolError; CryptoError `truncated` and what verifyEnvelope throws
 */
export async function openEnvelope(source: EnvelopeSource, key: OpeningKey): Promise<EnvelopeReader> {
  const header = await readEnvelopeHeader(source);
  const layout = envelopeLayout(header, source.size);
  const { chunks, plaintextBytes, hashesAt, signatureAt } = layout;
  const chunkHashes = await source.read(hashesAt, chunks * HASH_BYTES);
  const signature = await source.read(signatureAt, SIGNATURE_BYTES);
  verifyEnvelope({ header, layout, chunkHashes, signature }, key);
  const chunkKey = await payloadKey(key.dek, header.hash);

  async function readChunk(index: number): Promise<Uint8Array> {
    if (!Number.isInteger(index) || index < 0 || index >= chunks) throw new RangeError('no such chunk');
    const { at, length } = chunkAt(layout, index);
    const hash = chunkHashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    return decryptChunk(chunkKey, index, index === chunks - 1, await source.read(at, length), hash);
  }

  return {
    header,
    plaintextBytes,
    chunks,
    readChunk,
    async read(at, length) {
      const from = Math.min(at, plaintextBytes);
      const end = Math.min(at + length, plaintextBytes);
      const out = new Uint8Array(Math.max(0, end - from));
      for (let index = Math.floor(from / CHUNK_BYTES); index * CHUNK_BYTES < end; index++) {
        const start = index * CHUNK_BYTES;
        const chunk = await readChunk(index);
        out.set(chunk.subarray(Math.max(0, from - start), end - start), Math.max(0, start - from));
      }
      return out;
    },
  };
}
