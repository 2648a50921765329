/** Why a service message was refused. Stable: answers, logs and tests rely on these names. */
export type ServiceMessageErrorCode =
  /** Not one OpenPGP message of the only shape that is spoken here, or its payload is none. */
  | 'message_malformed'
  | 'message_too_large'
  /** Encrypted to, or meant for, somebody else. */
  | 'wrong_receiver'
  /** Signed by, or claiming to be from, somebody else than the peer. */
  | 'wrong_sender'
  /** The peer's signature doesn't hold. */
  | 'message_signature_invalid'
  /** Made too long ago, or in the future, by the receiver's clock. */
  | 'message_stale'
  /** The answer is to another request. */
  | 'wrong_request'
  /** Not a service key: other algorithm or version, locked by a passphrase, or no key at all. */
  | 'service_key_invalid';

/** The message says which check failed, never a value. */
export class ServiceMessageError extends Error {
  override readonly name = 'ServiceMessageError';
  readonly code: ServiceMessageErrorCode;

  constructor(code: ServiceMessageErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
