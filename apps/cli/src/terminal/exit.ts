/** Exit codes, and how errors become them. Documented in docs/cli.md. */
import type { CryptoErrorCode } from '@astis/crypto';
import type { ProblemCode } from '@astis/protocol';
import type { SdkErrorCode } from '@astis/sdk';
import type { ProfileErrorCode } from '@astis/sdk/node';

export const EXIT = {
  ok: 0,
  /** A fault of ours or of the server's. */
  unexpected: 1,
  /** The command, or what was given to it, is not right. */
  usage: 2,
  /** Policy, TTL, a revocation or the organisation's rules say no. */
  refused: 3,
  /** Who calls is not known here, or not any more. */
  unauthenticated: 4,
  notFound: 5,
  /** A signature, a hash, a pin or the log does not hold. */
  untrusted: 6,
  /** No answer, or not now: try again later. */
  unavailable: 7,
  /** Something else changed meanwhile: look again, then repeat. */
  conflict: 8,
  interrupted: 130,
  /** As the shell has it for a program that SIGPIPE ended. */
  pipeClosed: 141,
} as const;

/** A mistake in how the command was called, or something in its way that the user can clear. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'usage';
}

/** What was named is not there. */
export class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
  readonly code = 'not_found';
}

/** The answer did not come whole. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
  readonly code = 'gateway_unreachable';
}

/** Ctrl-C or SIGTERM: what was begun was taken back. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
  readonly code = 'interrupted';

  constructor() {
    super('Interrupted; nothing was written.');
  }
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

// Complete by type: a new problem code does not compile until somebody says what it is on the command line.
const OF_PROBLEMS: Readonly<Record<ProblemCode, number>> = {
  invalid_request: EXIT.usage,
  malformed_object: EXIT.usage,
  too_large: EXIT.usage,
  unsupported_media_type: EXIT.usage,
  not_found: EXIT.notFound,
  method_not_allowed: EXIT.usage,
  unauthenticated: EXIT.unauthenticated,
  token_invalid: EXIT.unauthenticated,
  proof_required: EXIT.unauthenticated,
  proof_invalid: EXIT.unauthenticated,
  proof_nonce_required: EXIT.unauthenticated,
  proof_replayed: EXIT.unauthenticated,
  key_revoked: EXIT.unauthenticated,
  forbidden: EXIT.refused,
  denied_by_policy: EXIT.refused,
  approval_required: EXIT.refused,
  expired: EXIT.refused,
  revoked: EXIT.refused,
  clock_stepped_back: EXIT.unavailable,
  recovery_disabled: EXIT.refused,
  ttl_exceeds_maximum: EXIT.refused,
  ttl_exceeds_statement: EXIT.refused,
  statement_invalid: EXIT.untrusted,
  statement_mismatch: EXIT.untrusted,
  sealer_mismatch: EXIT.refused,
  recipient_unknown: EXIT.notFound,
  recipient_key_stale: EXIT.conflict,
  grant_invalid: EXIT.refused,
  enrolment_invalid: EXIT.unauthenticated,
  challenge_failed: EXIT.unauthenticated,
  address_not_yours: EXIT.refused,
  domain_taken: EXIT.refused,
  domain_unproven: EXIT.refused,
  policy_invalid: EXIT.usage,
  version_conflict: EXIT.conflict,
  order_invalid: EXIT.refused,
  order_replayed: EXIT.conflict,
  certificate_invalid: EXIT.untrusted,
  wrap_invalid: EXIT.untrusted,
  target_refused: EXIT.refused,
  key_destroyed: EXIT.conflict,
  log_inconsistent: EXIT.untrusted,
  request_replayed: EXIT.conflict,
  already_exists: EXIT.conflict,
  idempotency_mismatch: EXIT.conflict,
  idempotency_in_progress: EXIT.conflict,
  rate_limited: EXIT.unavailable,
  audit_unavailable: EXIT.unavailable,
  custody_unavailable: EXIT.unavailable,
  store_unavailable: EXIT.unavailable,
  internal: EXIT.unexpected,
};

const OF_OURS: Readonly<Partial<Record<SdkErrorCode | ProfileErrorCode | CryptoErrorCode, number>>> = {
  gateway_unreachable: EXIT.unavailable,
  answer_invalid: EXIT.unavailable,
  enrolment_code_invalid: EXIT.usage,
  recipient_unknown: EXIT.notFound,
  profile_missing: EXIT.unauthenticated,
  profile_damaged: EXIT.unauthenticated,
  profile_exists: EXIT.usage,
  passphrase_needed: EXIT.unauthenticated,
  passphrase_wrong: EXIT.unauthenticated,
  source_changed: EXIT.conflict,
};

const BY_CODE: Readonly<Record<string, number>> = {
  ...OF_PROBLEMS,
  ...OF_OURS,
  usage: EXIT.usage,
  interrupted: EXIT.interrupted,
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
  /** Further lines: reasons of a refusal, errors of a document, what to do next. */
  readonly details: readonly string[];
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'There is no such file or folder',
  ENOTDIR: 'There is no such file or folder',
  EACCES: 'No permission for',
  EPERM: 'No permission for',
  EROFS: 'The disk is read-only',
  EISDIR: 'This is a folder, not a file',
  EEXIST: 'There is one already',
};

// These come from writing, where Node does not always name the path.
const DISK_ERRORS: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full; nothing was written.',
  EDQUOT: 'The disk quota is used up; nothing was written.',
  EFBIG: 'The file is larger than the file system allows; nothing was written.',
};

const NEXT: Readonly<Record<string, string>> = {
  recipient_key_changed: 'If the change is right: the same command with --accept-new-key ADDRESS',
  profile_missing: 'To try ASTIS on this computer: npm start',
  gateway_unreachable: 'Is it running? On this computer it is started by: npm start',
  version_conflict: 'See what changed: astis policy history',
};

function detailsOf(error: Error, code: string): readonly string[] {
  const details: string[] = [];
  if ('problem' in error && typeof error.problem === 'object' && error.problem !== null) {
    const { problem } = error;
    if ('errors' in problem && Array.isArray(problem.errors)) {
      for (const { path: at, message } of problem.errors) details.push(`${at}: ${message}`);
    }
    if ('approvalId' in problem && typeof problem.approvalId === 'string') {
      details.push(`Somebody else can approve it: astis approval approve ${problem.approvalId}`);
    }
    if (code === 'internal' && 'instance' in problem && typeof problem.instance === 'string')
      details.push(`When you ask for help, quote ${problem.instance}`);
  }
  const next = NEXT[code];
  return next === undefined ? details : [...details, next];
}

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error))
    return { exit: EXIT.unexpected, code: 'unexpected', message: 'Something failed.', details: [] };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'unexpected';
  const diskError = DISK_ERRORS[code];
  if (diskError !== undefined)
    return { exit: EXIT.unexpected, code: 'disk', message: diskError, details: [] };
  const path = 'path' in error && typeof error.path === 'string' ? error.path : undefined;
  const fileError = FILE_ERRORS[code];
  if (fileError !== undefined && path !== undefined)
    return { exit: EXIT.usage, code: 'file', message: `${fileError}: ${path}`, details: [] };
  const exit = BY_CODE[code] ?? (UNTRUSTED_ERRORS.has(error.name) ? EXIT.untrusted : EXIT.unexpected);
  return { exit, code, message: error.message, details: detailsOf(error, code) };
}
