/**
 * Answers that Cedar gave before. Cedar is a pure function of policies and inputs; a key holds the document's serial
 * number, which is never used twice, and every input of the call, so an answer can only be found for the very same
 * question. Bounded in entries and in the length of their keys; the older half goes when the newer is full.
 */
import type { Response } from '@cedar-policy/cedar-wasm';

const HALF = 4096;
const MAX_KEY = 2048;

let newer = new Map<string, Response>();
let older = new Map<string, Response>();

export function remembered(key: string): Response | undefined {
  const found = newer.get(key);
  if (found !== undefined) return found;
  const old = older.get(key);
  if (old !== undefined) remember(key, old);
  return old;
}

export function remember(key: string, response: Response): void {
  if (key.length > MAX_KEY) return;
  if (newer.size >= HALF) {
    older = newer;
    newer = new Map();
  }
  newer.set(key, response);
}
