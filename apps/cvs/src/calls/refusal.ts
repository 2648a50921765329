/** Turns what a check threw into the code that is answered and logged. */
import type { CryptoErrorCode } from '@astis/crypto';
import { CryptoError } from '@astis/crypto';
import type { ProblemCode } from '@astis/protocol';
import { ProblemError, ProtocolError } from '@astis/protocol';
import { RootKeyError } from '../worker/root-key.ts';
import { WorkerJobError } from '../worker/worker.ts';

export interface Refusal {
  readonly code: ProblemCode;
  readonly detail: string;
  /** The finer code of the check that failed, for the log. */
  readonly reason?: string;
}

const BY_CHECK: Partial<Record<CryptoErrorCode, ProblemCode>> = {
  certificate_invalid: 'certificate_invalid',
  signature_invalid: 'statement_invalid',
  statement_mismatch: 'statement_mismatch',
  recipient_mismatch: 'statement_mismatch',
  link_chain_broken: 'statement_mismatch',
  commitment_mismatch: 'wrap_invalid',
  wrap_open_failed: 'wrap_invalid',
  key_invalid: 'malformed_object',
};

/** Undefined for what is no refusal but a fault of ours. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof ProblemError) return { code: error.code, detail: error.message };
  if (error instanceof ProtocolError)
    return { code: 'malformed_object', detail: error.message, reason: error.code };
  if (error instanceof CryptoError) {
    const code = BY_CHECK[error.code];
    return code === undefined ? undefined : { code, detail: error.message, reason: error.code };
  }
  if (error instanceof WorkerJobError || error instanceof RootKeyError) {
    const detail = 'The key custody service can not use its keys now.';
    return { code: 'custody_unavailable', detail, reason: error.code };
  }
  return undefined;
}
