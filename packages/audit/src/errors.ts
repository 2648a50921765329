/** Why an operation of the audit log failed. Stable: callers and tests rely on these names. */
export type AuditErrorCode =
  | 'invalid_event'
  | 'invalid_head'
  | 'invalid_salt'
  | 'out_of_range'
  | 'missing_nodes'
  | 'malformed_record'
  | 'malformed_note'
  | 'malformed_key'
  | 'malformed_checkpoint'
  | 'malformed_receipt'
  | 'malformed_line'
  | 'malformed_tile_path'
  | 'unknown_key'
  | 'bad_signature'
  | 'origin_mismatch'
  | 'changed_event'
  | 'not_included';

/** The message names what is wrong, never the content of an event. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
  readonly code: AuditErrorCode;

  constructor(code: AuditErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
