/**
 * The payload: STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) as age has it, with AES-256-GCM and chunks of
 * 1 MiB; and the sealer's signature over the hashes of the ciphertext chunks.
 */

import type { ArtifactId, Dek, HeaderHash, SigningPublicKey } from '@astis/protocol/formats';
import { encodeCbor, equalBytes, fromBase64Url, signingKeyId, toBeSigned } from '@astis/protocol/formats';
import { backend } from '#backend';
import type { AeadKey } from './backend.ts';
import { erase, payloadKeyBytes } from './dek.ts';
import { CryptoError } from './errors.ts';
import type { Signer } from './signing.ts';
import { verifyRaw } from './signing.ts';

/** The key of one envelope's chunks. It can encrypt and decrypt, and can't be read out. */
export interface PayloadKey {
  readonly aead: AeadKey;
}

/** Derives the chunk key from DEK and header hash; binds every chunk to the header. */
export async function payloadKey(dek: Dek, headerHash: HeaderHash): Promise<PayloadKey> {
  const bytes = payloadKeyBytes(dek, headerHash);
  const aead = await backend.aes256gcm(bytes);
  erase(bytes);
  return { aead };
}

/** 11 bytes big-endian counter, then 1 for the last chunk and 0 for all others. */
export function chunkNonce(index: number, last: boolean): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(7, index);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

export interface SealedChunk {
  readonly ciphertext: Uint8Array;
  /** SHA-256 of the ciphertext with its tag. */
  readonly hash: Uint8Array;
}

/** Encrypts chunk `index`. Each index must be used once only under a key. */
export async function encryptChunk(
  key: PayloadKey,
  index: number,
  last: boolean,
  plaintext: Uint8Array,
): Promise<SealedChunk> {
  const ciphertext = await key.aead.seal(chunkNonce(index, last), plaintext);
  return { ciphertext, hash: await backend.sha256Chunk(ciphertext) };
}

/** Checks a chunk against its signed hash, then decrypts it. @throws CryptoError `chunk_modified` */
export async function decryptChunk(
  key: PayloadKey,
  index: number,
  last: boolean,
  ciphertext: Uint8Array,
  hash: Uint8Array,
): Promise<Uint8Array> {
  if (!equalBytes(await backend.sha256Chunk(ciphertext), hash)) throw chunkModified(index);
  const plaintext = await key.aead.open(chunkNonce(index, last), ciphertext);
  if (plaintext === undefined) throw chunkModified(index);
  return plaintext;
}

const chunkModified = (index: number): CryptoError =>
  new CryptoError('chunk_modified', `chunk ${index} is not as it was sealed`);

/** What the payload's signature covers. */
export interface PayloadDigest {
  readonly artifactId: ArtifactId;
  readonly headerHash: HeaderHash;
  readonly plaintextBytes: number;
  /** All chunk hashes, one after another. */
  readonly chunkHashes: Uint8Array;
}

/** CBOR [artifact id, header hash, plaintext length, SHA-256(all chunk hashes)]. */
export const encodePayloadDigest = (digest: PayloadDigest): Uint8Array =>
  encodeCbor([
    fromBase64Url(digest.artifactId),
    digest.headerHash,
    digest.plaintextBytes,
    backend.sha256(digest.chunkHashes),
  ]);

/** The 64 bytes at the envelope's end: the signature alone of an `astis/payload` object. */
export const signPayload = (digest: PayloadDigest, signer: Signer): Promise<Uint8Array> =>
  signer.sign(toBeSigned('astis/payload', signer.keyId, encodePayloadDigest(digest)));

/** @throws CryptoError `signature_invalid` */
export function verifyPayload(
  digest: PayloadDigest,
  signature: Uint8Array,
  sealerKey: SigningPublicKey,
): void {
  const keyId = signingKeyId(sealerKey);
  verifyRaw('astis/payload', keyId, encodePayloadDigest(digest), signature, sealerKey);
}
