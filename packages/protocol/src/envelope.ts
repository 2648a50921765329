/**
 * The envelope: what `astis seal` writes.
 *
 *   envelope = magic, header length (uint32 big-endian), header, chunk*, chunk hash*, signature
 *
 * The payload is cut into chunks of 1 MiB; each is an AES-256-GCM ciphertext (plaintext length + 16). The
 * SHA-256 of each ciphertext chunk follows after the last chunk, and then one Ed25519 signature over them, so
 * that a reader who can seek checks the author first and then each chunk by itself, in any order.
 * An empty payload has one empty chunk. Every length follows from the file's size: nothing in the file says how
 * long it is, so nothing can lie about it.
 */
import { compareBytes, concat, equalBytes, fromBase64Url, utf8 } from './bytes.ts';
import { decodeCbor, encodeCbor, FieldReader } from './cbor.ts';
import { ProtocolError } from './errors.ts';
import type { Address, ArtifactId, DekCommitment, SigningPublicKey, TenantId } from './ids.ts';
import { artifactIdText, parseAddress, parseTenantId, uuidBytes, uuidText } from './ids.ts';
import { COSE_A256GCM } from './suites.ts';

export const MAGIC: Uint8Array = utf8('astis-envelope/v1\n');
export const CHUNK_BYTES: number = 1 << 20;
export const TAG_BYTES = 16;
export const HASH_BYTES = 32;
export const SIGNATURE_BYTES = 64;
/** Magic and header length. */
export const PREAMBLE_BYTES: number = MAGIC.length + 4;
export const MAX_HEADER_BYTES = 4096;
/** The STREAM counter has 32 bits of its 88 in use, which keeps JavaScript's integers exact: 4 PiB. */
export const MAX_CHUNKS: number = 2 ** 32;

export interface EnvelopeHeader {
  readonly artifactId: ArtifactId;
  readonly tenantId: TenantId;
  readonly sealer: Address;
  readonly sealerKey: SigningPublicKey;
  readonly commitment: DekCommitment;
}

/** Magic, length and header: the bytes that the header hash covers. */
export function encodeEnvelopeHeader(header: EnvelopeHeader): Uint8Array {
  const body = encodeCbor(
    new Map<number, number | string | Uint8Array>([
      [1, fromBase64Url(header.artifactId)],
      [2, uuidBytes(header.tenantId)],
      [3, header.sealer],
      [4, header.sealerKey],
      [5, header.commitment],
      [6, COSE_A256GCM],
    ]),
  );
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, body.length);
  return concat(MAGIC, length, body);
}

/** Reads magic and length from at least {@link PREAMBLE_BYTES}; returns how many header bytes follow them. */
export function headerLength(preamble: Uint8Array): number {
  if (preamble.length < PREAMBLE_BYTES)
    throw new ProtocolError('invalid_length', 'envelope: cut off in its header');
  if (!equalBytes(preamble.subarray(0, MAGIC.length), MAGIC)) {
    throw new ProtocolError('unknown_version', 'not an ASTIS envelope, or one of a version unknown here');
  }
  const length = new DataView(preamble.buffer, preamble.byteOffset + MAGIC.length, 4).getUint32(0);
  if (length === 0 || length > MAX_HEADER_BYTES)
    throw new ProtocolError('invalid_length', 'envelope: header length');
  return length;
}

/** Decodes exactly what {@link encodeEnvelopeHeader} made. */
export function decodeEnvelopeHeader(bytes: Uint8Array): EnvelopeHeader {
  const length = headerLength(bytes);
  if (bytes.length < PREAMBLE_BYTES + length)
    throw new ProtocolError('invalid_length', 'envelope: header cut off');
  if (bytes.length > PREAMBLE_BYTES + length)
    throw new ProtocolError('trailing_bytes', 'envelope: more than a header');
  const fields = new FieldReader(decodeCbor(bytes.subarray(PREAMBLE_BYTES)), 'envelope header');
  const header: EnvelopeHeader = {
    artifactId: artifactIdText(fields.bytes(1, 16)),
    tenantId: parseTenantId(uuidText(fields.bytes(2, 16))),
    sealer: canonicalAddress(fields.text(3, 254)),
    sealerKey: fields.bytes(4, 32) as SigningPublicKey,
    commitment: fields.bytes(5, 32) as DekCommitment,
  };
  if (fields.uint(6) !== COSE_A256GCM) throw new ProtocolError('unknown_algorithm', 'envelope: unknown AEAD');
  fields.end();
  return header;
}

/** An address as objects carry it: already normalised, or refused. */
export function canonicalAddress(text: string): Address {
  const address = parseAddress(text);
  if (address !== text) throw new ProtocolError('non_canonical', 'address is not in its normal form');
  return address;
}

export interface EnvelopeLayout {
  readonly headerBytes: number;
  readonly chunks: number;
  /** Plaintext length in bytes. */
  readonly plaintextBytes: number;
  /** Offset of the first chunk hash. */
  readonly hashesAt: number;
  /** Offset of the signature. */
  readonly signatureAt: number;
}

const chunkCount = (plaintextBytes: number): number => Math.max(1, Math.ceil(plaintextBytes / CHUNK_BYTES));

/** Where everything stands in an envelope that carries `plaintextBytes`. */
export function layoutFor(headerBytes: number, plaintextBytes: number): EnvelopeLayout {
  const chunks = chunkCount(plaintextBytes);
  if (chunks > MAX_CHUNKS) throw new ProtocolError('too_large', 'envelope: more than 4 PiB');
  const hashesAt = headerBytes + plaintextBytes + chunks * TAG_BYTES;
  return { headerBytes, chunks, plaintextBytes, hashesAt, signatureAt: hashesAt + chunks * HASH_BYTES };
}

/** The layout of an envelope of `fileBytes` in all. Refuses sizes that no envelope can have. */
export function layoutOf(headerBytes: number, fileBytes: number): EnvelopeLayout {
  const perChunk = TAG_BYTES + HASH_BYTES;
  const body = fileBytes - headerBytes - SIGNATURE_BYTES;
  const chunks = Math.max(1, Math.ceil(body / (CHUNK_BYTES + perChunk)));
  const plaintextBytes = body - chunks * perChunk;
  if (!Number.isSafeInteger(body) || plaintextBytes < 0 || chunkCount(plaintextBytes) !== chunks) {
    throw new ProtocolError('invalid_length', 'envelope: cut off, or not of a possible length');
  }
  return layoutFor(headerBytes, plaintextBytes);
}

/** Orders recipients and labels; exported for the statement's canonical order. */
export const compareText = (a: string, b: string): number => compareBytes(utf8(a), utf8(b));
