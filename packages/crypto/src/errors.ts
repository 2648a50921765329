/** Why a cryptographic check failed. Stable: clients, problem codes and tests rely on these names. */
export type CryptoErrorCode =
  /** HPKE refused the wrap: other key, other artifact, tenant or recipient, or changed bytes. */
  | 'wrap_open_failed'
  /** The DEK is not the one that header and statement commit to. */
  | 'commitment_mismatch'
  /** An Ed25519 signature doesn't hold, or is another key's. */
  | 'signature_invalid'
  /** The envelope's header is not the one of the statement. */
  | 'header_mismatch'
  /** A ciphertext chunk or its hash was changed, moved or belongs to another envelope. */
  | 'chunk_modified'
  /** The envelope is cut off, or longer than it says. */
  | 'truncated'
  /** The statement is about another artifact, tenant or sealer than the thing beside it. */
  | 'statement_mismatch'
  /** The wrap is to another key or address than the one that opens it, or that the statement names. */
  | 'recipient_mismatch'
  /** The rewrap links don't lead from the statement's recipient to this wrap. */
  | 'link_chain_broken'
  /** A key certificate isn't the organisation's, or certifies something else than is asked of it. */
  | 'certificate_invalid'
  /** Bytes given as a key are not one (wrong length, not on the curve). */
  | 'key_invalid'
  /** A sealed private key did not open: other root key, tenant, key id or purpose, or changed bytes. */
  | 'sealed_key_open_failed'
  /** A file changed while it was being read. */
  | 'source_changed';

/** Thrown by every check of this package. The message says which check, never a secret or a value. */
export class CryptoError extends Error {
  override readonly name = 'CryptoError';
  readonly code: CryptoErrorCode;

  constructor(code: CryptoErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
