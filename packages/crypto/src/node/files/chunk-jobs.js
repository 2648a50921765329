// @ts-check
/**
 * The work on chunks: read, encrypt or decrypt, hash, write; all in one thread, with no copy between threads.
 * Plain JavaScript without imports of our own: a thread that had to strip types first would start 20 ms later
 * and take 30 MB more.
 *
 * @import { ChunkJob, ChunkResult, ChunkSetup } from './jobs.ts'
 */
import { createCipheriv, createDecipheriv, createHash, hash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';

const CHUNK_BYTES = 1 << 20;
const TAG_BYTES = 16;
const HASH_BYTES = 32;
const PIECE_BYTES = 1 << 18;
const GCM = /** @type {const} */ ({ authTagLength: TAG_BYTES });

/**
 * An error that says its code, to be told to the main thread.
 * @param {string} code
 * @param {string} message
 */
const coded = (code, message) => Object.assign(new Error(message), { code });

/**
 * Fills `buffer` from `at`.
 * @param {number} fd
 * @param {Uint8Array} buffer
 * @param {number} at
 */
function readFully(fd, buffer, at) {
  for (let done = 0; done < buffer.length; ) {
    const got = readSync(fd, buffer, done, buffer.length - done, at + done);
    if (got === 0) throw coded('source_changed', 'the file became shorter while it was read');
    done += got;
  }
}

/**
 * @param {number} fd
 * @param {Uint8Array} bytes
 * @param {number} at
 */
function writeFully(fd, bytes, at) {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, at + done);
}

/**
 * Gives memory back at once. Left to the garbage collector, a megabyte a chunk would pile up to hundreds.
 * @param {Uint8Array} bytes
 */
export function release(bytes) {
  if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length)
    bytes.buffer.transfer(0);
}

/**
 * 11 bytes big-endian counter, then 1 for the last chunk; see payload.ts.
 * @param {number} index
 * @param {boolean} last
 */
function chunkNonce(index, last) {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(7, index);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

/**
 * Feeds `bytes` to a cipher piece by piece. Whole chunks would have the allocator map and unmap a megabyte each
 * time, which takes longer than the encryption; small pieces stay in the cache for hashing and writing too.
 * @param {{ update(bytes: Uint8Array): Uint8Array }} cipher
 * @param {Uint8Array} bytes
 * @param {(piece: Uint8Array, at: number) => void} put
 */
function inPieces(cipher, bytes, put) {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    put(cipher.update(bytes.subarray(at, at + PIECE_BYTES)), at);
}

/**
 * Prepares a thread; the function that it returns does one job.
 * @param {ChunkSetup} setup
 * @returns {(job: ChunkJob) => ChunkResult}
 */
export function chunkWorker({ mode, key, inputFd, outputFd, headerBytes, chunkHashes }) {
  const scratch = inputFd === undefined ? undefined : new Uint8Array(CHUNK_BYTES + TAG_BYTES);

  /**
   * @param {ChunkJob} job
   * @param {number} length
   * @param {number} at
   */
  function inputOf(job, length, at) {
    if (job.input !== undefined) return new Uint8Array(job.input, 0, length);
    if (inputFd === undefined || scratch === undefined) throw coded('internal', 'a job without input');
    const bytes = scratch.subarray(0, length);
    readFully(inputFd, bytes, at);
    return bytes;
  }

  /**
   * Returns the chunk's hash.
   * @param {number} index
   * @param {boolean} last
   * @param {Uint8Array} plaintext
   * @param {(piece: Uint8Array, at: number) => void} put
   */
  function seal(index, last, plaintext, put) {
    const cipher = createCipheriv('aes-256-gcm', key, chunkNonce(index, last), GCM);
    const sum = createHash('sha256');
    inPieces(cipher, plaintext, (piece, at) => {
      sum.update(piece);
      put(piece, at);
    });
    // GCM keeps nothing back: final() gives no bytes, it only closes the tag.
    cipher.final();
    const tag = cipher.getAuthTag();
    sum.update(tag);
    // Last, as it gives the memory away.
    put(tag, plaintext.length);
    return sum.digest();
  }

  /**
   * @param {number} index
   * @param {boolean} last
   * @param {Uint8Array} ciphertext
   * @param {(piece: Uint8Array, at: number) => void} put
   */
  function open(index, last, ciphertext, put) {
    const expected = chunkHashes?.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    if (expected === undefined || hash('sha256', ciphertext, 'buffer').compare(expected) !== 0)
      throw coded('chunk_modified', `chunk ${index} is not as it was sealed`);
    const end = ciphertext.length - TAG_BYTES;
    const decipher = createDecipheriv('aes-256-gcm', key, chunkNonce(index, last), GCM);
    decipher.setAuthTag(ciphertext.subarray(end));
    inPieces(decipher, ciphertext.subarray(0, end), put);
    try {
      decipher.final();
    } catch {
      throw coded('chunk_modified', `chunk ${index} does not decrypt`);
    }
  }

  return (job) => {
    const { first, count, lastLength, ends } = job;
    const hashes = new Uint8Array(mode === 'seal' ? count * HASH_BYTES : 0);
    /** @type {Uint8Array[]} */
    const output = [];
    for (let i = 0; i < count; i++) {
      const index = first + i;
      const length = i === count - 1 ? lastLength : CHUNK_BYTES;
      const last = ends && i === count - 1;
      const plainAt = index * CHUNK_BYTES;
      const sealedAt = headerBytes + index * (CHUNK_BYTES + TAG_BYTES);
      const target = mode === 'seal' ? sealedAt : plainAt;
      /** @type {(piece: Uint8Array, at: number) => void} */
      const put = (piece, at) => {
        if (outputFd === undefined) {
          output.push(piece);
          return;
        }
        // Into the partial file only: it gets its name when every chunk has been checked.
        writeFully(outputFd, piece, target + at);
        release(piece);
      };
      if (mode === 'seal') hashes.set(seal(index, last, inputOf(job, length, plainAt), put), i * HASH_BYTES);
      else open(index, last, inputOf(job, length + TAG_BYTES, sealedAt), put);
    }
    const plaintextBytes = (count - 1) * CHUNK_BYTES + lastLength;
    return { plaintextBytes, hashes, output, input: job.input };
  };
}
