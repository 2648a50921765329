/**
 * RFC 9457 problem details. `code` is the stable name that clients act on; `type` is
 * `https://astis.dev/problems/<code>`. `detail` says what is wrong and how to put it right, and never repeats
 * content. Every code with its HTTP status and title stands here and nowhere else.
 */
import type { Static } from 'typebox';
import { Type } from 'typebox';

export const PROBLEMS = {
  invalid_request: [400, 'The request is not valid'],
  malformed_object: [400, 'A signed object or wrap can not be decoded'],
  too_large: [413, 'The request is too large'],
  unsupported_media_type: [415, 'The content type is not supported'],
  not_found: [404, 'There is no such thing here'],
  method_not_allowed: [405, 'The method is not allowed'],
  unauthenticated: [401, 'Authentication is needed'],
  token_invalid: [401, 'The access token is not valid'],
  proof_required: [401, 'The request must be signed by the registered key'],
  proof_invalid: [401, 'The proof does not fit this request or this key'],
  proof_nonce_required: [401, 'The proof needs a fresh nonce of the server'],
  proof_replayed: [401, 'The proof was used before'],
  key_revoked: [401, 'The key was revoked'],
  forbidden: [403, 'Policy does not allow it'],
  denied_by_policy: [403, 'Policy refuses this release'],
  approval_required: [403, 'A second person must approve first'],
  expired: [403, 'The time to live has ended'],
  revoked: [403, 'The capsule was revoked'],
  clock_stepped_back: [503, 'The clock stepped back; releases are stopped'],
  recovery_disabled: [403, 'The organisation has not turned recovery on'],
  ttl_exceeds_maximum: [422, 'The time to live is longer than policy allows'],
  ttl_exceeds_statement: [422, 'Only a new statement of the sealer goes past the latest expiry'],
  statement_invalid: [422, 'The statement does not hold'],
  statement_mismatch: [422, 'The statement does not fit the capsules or the artifact'],
  sealer_mismatch: [403, 'The statement was not signed by the one who sends it'],
  recipient_unknown: [422, 'A recipient has no certified key'],
  recipient_key_stale: [409, 'A recipient has another key by now'],
  grant_invalid: [422, 'The enrolment grant does not hold'],
  enrolment_invalid: [403, 'The enrolment does not hold'],
  challenge_failed: [403, 'Possession of the key was not proved'],
  address_not_yours: [403, 'The address is of a domain which this organisation has not proved'],
  domain_taken: [409, 'The domain can not be claimed'],
  domain_unproven: [409, 'The DNS record that proves the domain was not found'],
  policy_invalid: [422, 'The policy is not valid'],
  version_conflict: [409, 'It was changed in the meantime'],
  order_invalid: [403, 'The order does not hold'],
  order_replayed: [409, 'The order was used before'],
  certificate_invalid: [422, 'The certificate does not hold'],
  wrap_invalid: [422, 'The wrap does not hold the key of its artifact'],
  target_refused: [403, 'The wrap may not be turned to that key'],
  key_destroyed: [409, 'The key was destroyed'],
  log_inconsistent: [409, 'The log does not continue the one that was signed before'],
  request_replayed: [409, 'The request was used before'],
  already_exists: [409, 'It exists already with other content'],
  idempotency_mismatch: [422, 'The idempotency key was used for another request'],
  idempotency_in_progress: [409, 'The same request is still being worked on'],
  rate_limited: [429, 'Too many requests'],
  audit_unavailable: [503, 'The audit log takes no entries, so nothing is released'],
  custody_unavailable: [503, 'The key custody service does not answer'],
  store_unavailable: [503, 'The store does not answer'],
  internal: [500, 'Something failed here'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof PROBLEMS;

export const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(PROBLEMS, code);

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'https://astis.dev/problems/<code>' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable name of the problem' }),
    detail: Type.String({ description: 'What is wrong here and how to put it right' }),
    instance: Type.Optional(Type.String({ description: 'Id of the request, to quote when asking for help' })),
    approvalId: Type.Optional(
      Type.String({ description: 'With approval_required: what the second person approves' }),
    ),
    reasons: Type.Optional(
      Type.Array(Type.String(), { description: 'With a refusal: the reasons that policy gives' }),
    ),
    errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details' },
);
export type Problem = Static<typeof Problem>;

/** Extra members that some problems carry. */
export type ProblemExtras = Pick<Problem, 'approvalId' | 'reasons' | 'errors'>;

/** Thrown by services and handlers; the edge turns it into a {@link Problem}. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly code: ProblemCode;
  readonly extras: Partial<ProblemExtras>;

  constructor(code: ProblemCode, detail: string, extras: Partial<ProblemExtras> = {}) {
    super(detail);
    this.code = code;
    this.extras = extras;
  }

  toProblem(instance?: string): Problem {
    const [status, title] = PROBLEMS[this.code];
    return {
      type: `https://astis.dev/problems/${this.code}`,
      title,
      status,
      code: this.code,
      detail: this.message,
      ...(instance === undefined ? {} : { instance }),
      ...this.extras,
    };
  }
}
