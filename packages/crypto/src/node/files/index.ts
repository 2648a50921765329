/**
 * `@astis/crypto/files` (Node only): sealing and opening files and streams of any size in constant memory, off
 * the main thread. Output to a path is written beside it and renamed when it is complete and on disk; on
 * failure or cancel nothing is left.
 */
export type { FileSource } from './input.ts';
export type { EnvelopeFile } from './open.ts';
export { openEnvelopeFile, openFile } from './open.ts';
export type { FileSink } from './output.ts';
export type { SealFileInput } from './seal.ts';
export { sealFile } from './seal.ts';
export type { Progress, TransferOptions } from './transfer.ts';
