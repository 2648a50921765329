/** The root key's file: exactly 32 bytes that nobody but this process's user can read. */

import { randomFillSync } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';

export const ROOT_KEY_BYTES = 32;

export type RootKeyErrorCode =
  | 'root_key_missing'
  | 'root_key_exposed'
  | 'root_key_malformed'
  | 'root_key_wrong';

const WHY: Record<RootKeyErrorCode, string> = {
  root_key_missing: 'The root key file can not be read.',
  root_key_exposed: 'The root key file must be a plain file of this user, of mode 0600 or 0400.',
  root_key_malformed: `The root key file must have exactly ${ROOT_KEY_BYTES} bytes.`,
  root_key_wrong: 'The root key is not the one that this store was begun with.',
};

export class RootKeyError extends Error {
  override readonly name = 'RootKeyError';
  readonly code: RootKeyErrorCode;

  constructor(code: RootKeyErrorCode) {
    super(WHY[code]);
    this.code = code;
  }
}

export const isRootKeyErrorCode = (code: unknown): code is RootKeyErrorCode =>
  typeof code === 'string' && Object.hasOwn(WHY, code);

function open(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600);
  } catch {
    throw new RootKeyError('root_key_missing');
  }
}

/**
 * Reads the key; erase it when done. What is checked is the file that was opened, so nobody can change it in between.
 * @throws RootKeyError
 */
export function readRootKey(path: string): Uint8Array {
  const file = open(path, constants.O_RDONLY);
  try {
    const { mode, uid, size } = fstatSync(file);
    const ours = process.getuid === undefined || uid === process.getuid();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || (mode & 0o077) !== 0 || !ours)
      throw new RootKeyError('root_key_exposed');
    const key = new Uint8Array(ROOT_KEY_BYTES);
    if (size !== ROOT_KEY_BYTES || readSync(file, key, 0, ROOT_KEY_BYTES, 0) !== ROOT_KEY_BYTES)
      throw new RootKeyError('root_key_malformed');
    return key;
  } finally {
    closeSync(file);
  }
}

/**
 * Makes a root key where there is none; for a new deployment. A CVS never does it by itself: a file that isn't
 * mounted must stop it, not give it another root. @throws RootKeyError `root_key_missing` when the file exists
 */
export function createRootKey(path: string): void {
  const file = open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
  const key = randomFillSync(new Uint8Array(ROOT_KEY_BYTES));
  try {
    writeSync(file, key);
  } finally {
    key.fill(0);
    closeSync(file);
  }
}
