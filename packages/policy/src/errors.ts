/** Why a policy document was refused. Stable: clients and tests rely on these names. */
export type PolicyErrorCode =
  /** Not the shape of a policy document: a field is missing, unknown, of the wrong type or out of range. */
  | 'policy_document_invalid'
  /** The Cedar text, one policy, or the nesting of one expression is larger than allowed. */
  | 'policy_too_large'
  /** Not a time zone of the IANA database. */
  | 'policy_time_zone_unknown'
  /** The default TTL is above the maximum. */
  | 'policy_ttl_invalid'
  /** The Cedar text does not parse. */
  | 'policy_syntax'
  /** The Cedar text parses but does not fit the schema, or breaks a rule about ids and annotations. */
  | 'policy_invalid'
  /** The Cedar engine broke down in this process; every decision is refused until it is started again. */
  | 'policy_engine_failed';

/** One thing wrong with a document. Lines and columns count from 1, columns in UTF-16 units, within `cedar`. */
export interface PolicyProblem {
  readonly message: string;
  /** JSON pointer (RFC 6901) of the field at fault. */
  readonly path?: string;
  /** The `@id` of the policy at fault. */
  readonly policy?: string;
  readonly line?: number;
  readonly column?: number;
  readonly help?: string;
}

/** Thrown by `compilePolicy`. Has at least one problem. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly code: PolicyErrorCode;
  readonly problems: readonly PolicyProblem[];

  constructor(code: PolicyErrorCode, problems: readonly [PolicyProblem, ...PolicyProblem[]]) {
    const [{ message, line, column }] = problems;
    super(line === undefined ? message : `line ${line}, column ${column}: ${message}`);
    this.code = code;
    this.problems = problems;
  }
}
