/** Exit codes, and how errors become them. Documented in docs/cli.md. */

export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  refused: 3,
  unauthenticated: 4,
  notFound: 5,
  untrusted: 6,
  unavailable: 7,
} as const;

/** A mistake in how the command was called, or something in its way that the user can clear. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'usage';
}

/** A verification that failed; the findings were printed. */
export class UntrustedError extends Error {
  override readonly name = 'UntrustedError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const BY_CODE: Readonly<Record<string, number>> = {
  denied_by_policy: EXIT.refused,
  approval_required: EXIT.refused,
  expired: EXIT.refused,
  revoked: EXIT.refused,
  forbidden: EXIT.refused,
  recovery_disabled: EXIT.refused,
  ttl_exceeds_maximum: EXIT.refused,
  ttl_exceeds_statement: EXIT.refused,
  target_refused: EXIT.refused,
  address_not_yours: EXIT.refused,
  unauthenticated: EXIT.unauthenticated,
  token_invalid: EXIT.unauthenticated,
  proof_invalid: EXIT.unauthenticated,
  key_revoked: EXIT.unauthenticated,
  proof_replayed: EXIT.unauthenticated,
  enrolment_invalid: EXIT.unauthenticated,
  passphrase_needed: EXIT.unauthenticated,
  passphrase_wrong: EXIT.unauthenticated,
  profile_missing: EXIT.unauthenticated,
  not_found: EXIT.notFound,
  recipient_unknown: EXIT.notFound,
  gateway_unreachable: EXIT.unavailable,
  store_unavailable: EXIT.unavailable,
  audit_unavailable: EXIT.unavailable,
  custody_unavailable: EXIT.unavailable,
  clock_stepped_back: EXIT.unavailable,
  rate_limited: EXIT.unavailable,
  usage: EXIT.usage,
  invalid_request: EXIT.usage,
  policy_invalid: EXIT.usage,
  enrolment_code_invalid: EXIT.usage,
  profile_exists: EXIT.usage,
  domain_unproven: EXIT.refused,
  domain_taken: EXIT.refused,
};

// What these throw means that something does not hold: a signature, a hash, a pin.
const UNTRUSTED_ERRORS = new Set([
  'CryptoError',
  'ProtocolError',
  'SdkError',
  'AuditError',
  'UntrustedError',
]);

export interface Failure {
  readonly exit: number;
  readonly code: string;
  readonly message: string;
  /** Further lines: reasons of a refusal, errors of a document. */
  readonly details: readonly string[];
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'There is no such file',
  EACCES: 'No permission for',
  EISDIR: 'This is a folder, not a file',
  ENOSPC: 'The disk is full; nothing was written to',
  EEXIST: 'There is one already',
};

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error))
    return { exit: EXIT.unexpected, code: 'unexpected', message: 'Something failed.', details: [] };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'unexpected';
  const path = 'path' in error && typeof error.path === 'string' ? error.path : undefined;
  const fileError = FILE_ERRORS[code];
  if (fileError !== undefined && path !== undefined) {
    return { exit: EXIT.usage, code: 'file', message: `${fileError}: ${path}`, details: [] };
  }
  const exit = BY_CODE[code] ?? (UNTRUSTED_ERRORS.has(error.name) ? EXIT.untrusted : EXIT.unexpected);
  const details: string[] = [];
  if ('problem' in error && typeof error.problem === 'object' && error.problem !== null) {
    const { problem } = error;
    if ('errors' in problem && Array.isArray(problem.errors)) {
      for (const { path: at, message } of problem.errors) details.push(`${at}: ${message}`);
    }
    if ('approvalId' in problem && typeof problem.approvalId === 'string') {
      details.push(`Somebody else can approve it: astis approval approve ${problem.approvalId}`);
    }
  }
  return { exit, code, message: error.message, details };
}
