/** Why bytes were refused. Stable: clients and tests rely on these names. */
export type ProtocolErrorCode =
  | 'malformed_encoding'
  | 'non_canonical'
  | 'unknown_version'
  | 'unknown_algorithm'
  | 'unknown_field'
  | 'missing_field'
  | 'invalid_field'
  | 'invalid_length'
  | 'trailing_bytes'
  | 'duplicate_recipient'
  | 'too_large'
  | 'wrong_type';

/** Thrown by every decoder. The message names the field, never its value. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
