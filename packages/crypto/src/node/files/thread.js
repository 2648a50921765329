// @ts-check
/**
 * Entry of a chunk thread: one job a message, one answer each, in order.
 *
 * @import { ChunkJob, ChunkResult } from './jobs.ts'
 */
import { parentPort, workerData } from 'node:worker_threads';
import { chunkWorker } from './chunk-jobs.js';

if (parentPort === null) throw new Error('runs as a thread only');
const port = parentPort;
const run = chunkWorker(workerData);

/**
 * What moves to the main thread instead of being copied. Small results may share a pool and are copied.
 * @param {ChunkResult} result
 */
function moved({ output, input }) {
  /** @type {ArrayBuffer[]} */
  const buffers = input === undefined ? [] : [input];
  for (const { buffer, length } of output)
    if (buffer instanceof ArrayBuffer && length > 65_536 && buffer.byteLength === length)
      buffers.push(buffer);
  return buffers;
}

port.on('message', (/** @type {ChunkJob} */ job) => {
  try {
    const result = run(job);
    port.postMessage(result, moved(result));
  } catch (error) {
    const message = error instanceof Error ? error.message : 'failed';
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'internal';
    port.postMessage({ failed: { code, message } });
  }
});
