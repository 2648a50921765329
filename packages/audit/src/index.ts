/**
 * The audit log (docs/audit-log.md): per tenant a hash chain whose entries are the leaves of an RFC 6962 Merkle tree,
 * with C2SP signed notes, checkpoints and tiles. All functions are pure; keys, storage and clocks are the caller's.
 */
export * from './errors.ts';
export * from './event.ts';
export * from './formats.ts';
export { commitmentOf, EMPTY_ROOT, type Hash, leafHash, nodeHash, SALT_BYTES, ZERO_HASH } from './hashes.ts';
export * from './log/append.ts';
export * from './log/checkpoint.ts';
export * from './log/export.ts';
export * from './log/proofs.ts';
export * from './log/receipt.ts';
export * from './log/tiles.ts';
export * from './log/tree.ts';
export {
  formatVerifierKey,
  type NoteAlgorithm,
  parseVerifierKey,
  type VerifierKey,
  verifierKey,
} from './note-key.ts';
export * from './record.ts';
export * from './verify/checkpoint.ts';
export * from './verify/export.ts';
export type { Finding, FindingCode } from './verify/findings.ts';
export { MAX_LINE_BYTES, readLines } from './verify/lines.ts';
export * from './verify/note.ts';
export * from './verify/proofs.ts';
export { type CheckedReceipt, checkReceipt, type TrustedKeys } from './verify/receipt.ts';
