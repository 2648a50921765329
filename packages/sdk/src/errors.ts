import type { Problem } from '@astis/protocol';

/** The gateway refused: an RFC 9457 problem. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.code = problem.code;
    this.problem = problem;
  }
}

export type SdkErrorCode =
  /** No answer from the gateway. */
  | 'gateway_unreachable'
  /** What answers is not an ASTIS gateway. */
  | 'answer_invalid'
  | 'enrolment_code_invalid'
  /** The answer does not fit what was pinned or asked for. */
  | 'answer_untrusted'
  /** An address has another key than the one that was pinned. */
  | 'recipient_key_changed'
  | 'recipient_unknown'
  | 'receipt_invalid';

/** Something on our side, or an answer that we do not believe. */
export class SdkError extends Error {
  override readonly name = 'SdkError';
  readonly code: SdkErrorCode;

  constructor(code: SdkErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
