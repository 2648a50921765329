import type { DetailedError, PolicyJson } from '@cedar-policy/cedar-wasm';
import { MAX_POLICIES } from './document.ts';
import { policyToJson, splitPolicies, validatePolicies } from './engine.ts';
import type { PolicyErrorCode, PolicyProblem } from './errors.ts';
import { PolicyError } from './errors.ts';
import { blankComments, checkNesting } from './nesting.ts';
import { indexOfByte, positionOf } from './position.ts';
import { cedarSchema } from './schema.ts';

/** One policy of a document. */
export interface ParsedPolicy {
  /** Its `@id`. */
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  /** Its `@reason`, for people. */
  readonly reason: string | undefined;
  /** As written, annotations included, without what surrounds it. */
  readonly text: string;
  /** Where it starts in the document's text, in UTF-16 units. */
  readonly index: number;
  readonly json: PolicyJson;
}

const ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const MAX_REASON = 500;
const MAX_PROBLEMS = 20;
/** Invisible characters that reorder what a reviewer reads (Unicode TR 9, 36). */
const REORDERING = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/;

/** Splits and parses Cedar text. Throws `policy_too_large`, `policy_syntax` or `policy_invalid`. */
export function parsePolicies(cedar: string): readonly ParsedPolicy[] {
  checkCharacters(cedar);
  checkNesting(cedar);
  const parts = splitPolicies(cedar);
  if (parts.type === 'failure') throw refuse('policy_syntax', cedarProblems(parts.errors, cedar, 0, cedar));
  const [template] = parts.policy_templates;
  if (template !== undefined) {
    throw refuse('policy_invalid', [
      { message: 'a policy has a slot (?principal or ?resource); templates are not used here' },
    ]);
  }
  if (parts.policies.length > MAX_POLICIES) {
    throw refuse('policy_too_large', [{ message: `more than ${MAX_POLICIES} policies`, path: '/cedar' }]);
  }
  const policies = located(parts.policies, cedar).map(({ text, index }) => parsePolicy(text, index, cedar));
  policies.sort((a, b) => a.index - b.index);
  const problems = duplicates(policies, cedar);
  if (problems.length > 0) throw refuse('policy_invalid', problems);
  return policies;
}

/** Cedar hands the policies out without their places, and not in their order. */
function located(texts: readonly string[], cedar: string): { text: string; index: number }[] {
  const searchable = blankComments(cedar);
  const found = new Map<string, number>();
  return texts.map((text) => {
    const index = searchable.indexOf(blankComments(text), (found.get(text) ?? -1) + 1);
    found.set(text, index);
    return { text, index };
  });
}

function checkCharacters(cedar: string): void {
  if (!cedar.isWellFormed())
    throw refuse('policy_syntax', [{ message: 'the text is not Unicode', path: '/cedar' }]);
  const found = REORDERING.exec(cedar);
  if (found !== null) {
    throw refuse('policy_invalid', [
      {
        message: 'the text has an invisible character that reorders what is read',
        ...positionOf(cedar, found.index),
      },
    ]);
  }
}

function parsePolicy(text: string, index: number, cedar: string): ParsedPolicy {
  const answer = policyToJson(text);
  if (answer.type === 'failure')
    throw refuse('policy_syntax', cedarProblems(answer.errors, text, index, cedar));
  const { json } = answer;
  const { id, reason, ...unknown } = json.annotations ?? {};
  const problem = (message: string): PolicyError =>
    refuse('policy_invalid', [{ message, ...(id ? { policy: id } : {}), ...positionOf(cedar, index) }]);
  const [other] = Object.keys(unknown);
  if (other !== undefined) throw problem(`unknown annotation @${other}; there are @id and @reason`);
  if (!id) throw problem('a policy has no @id("…")');
  if (!ID.test(id)) throw problem('an @id has 1 to 64 lower-case letters, digits, ".", "_" and "-"');
  if (reason === null || reason === '') throw problem('an @reason is empty');
  if (reason !== undefined && reason.length > MAX_REASON)
    throw problem(`an @reason has at most ${MAX_REASON} characters`);
  return { id, effect: json.effect, reason, text, index, json };
}

function duplicates(policies: readonly ParsedPolicy[], cedar: string): PolicyProblem[] {
  const seen = new Set<string>();
  const problems: PolicyProblem[] = [];
  for (const { id, index } of policies) {
    if (seen.has(id))
      problems.push({ message: `two policies have the id "${id}"`, policy: id, ...positionOf(cedar, index) });
    seen.add(id);
  }
  return problems;
}

/** The validator's words for a policy that no request can meet. It only warns; an administrator is better stopped. */
const NEVER_APPLIES = /policy is impossible|unable to find an applicable action/;

/**
 * Checks policies against the schema in Cedar's strict mode, and that each can apply to some request: a forbid that
 * never does, for a misspelt action group say, forbids nothing. Throws `policy_invalid`; answers the validator's other
 * warnings.
 */
export function validateStrictly(policies: readonly ParsedPolicy[], cedar: string): readonly PolicyProblem[] {
  const answer = validatePolicies({
    validationSettings: { mode: 'strict' },
    schema: cedarSchema,
    policies: { staticPolicies: Object.fromEntries(policies.map(({ id, text }) => [id, text])) },
  });
  if (answer.type === 'failure')
    throw refuse('policy_invalid', cedarProblems(answer.errors, cedar, 0, cedar));
  const byId = new Map(policies.map((policy) => [policy.id, policy]));
  const problems = (found: typeof answer.validationErrors): PolicyProblem[] =>
    found.flatMap(({ policyId, error }) => {
      const { text, index } = byId.get(policyId) ?? { text: cedar, index: 0 };
      return cedarProblems([error], text, index, cedar).map((problem) => ({ ...problem, policy: policyId }));
    });
  const errors = problems(answer.validationErrors);
  if (errors.length > 0) throw refuse('policy_invalid', errors);
  const warnings = problems(answer.validationWarnings);
  const idle = warnings.filter(({ message }) => NEVER_APPLIES.test(message));
  if (idle.length > 0) throw refuse('policy_invalid', idle);
  return inOrder(warnings).slice(0, MAX_PROBLEMS);
}

/** Cedar's errors as ours. Its offsets are bytes into `text`, which stands at `index` of the whole. */
function cedarProblems(
  errors: readonly DetailedError[],
  text: string,
  index: number,
  whole: string,
): PolicyProblem[] {
  return errors.flatMap((error): PolicyProblem[] => {
    const [place] = error.sourceLocations ?? [];
    const help = error.help ?? place?.label;
    return [
      {
        message: error.message
          .replace(/^failed to parse policies from string: /, '')
          .replace(/^for policy `[^`]*`[,:] /, '')
          .slice(0, MAX_REASON),
        ...(place === undefined
          ? {}
          : positionOf(whole, Math.max(index, 0) + indexOfByte(text, place.start))),
        ...(help === null || help === undefined ? {} : { help: help.slice(0, MAX_REASON) }),
      },
      ...cedarProblems(error.related ?? [], text, index, whole),
    ];
  });
}

const inOrder = (problems: PolicyProblem[]): PolicyProblem[] =>
  problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));

function refuse(code: PolicyErrorCode, problems: PolicyProblem[]): PolicyError {
  const [first = { message: 'the text was refused' }, ...rest] = inOrder(problems).slice(0, MAX_PROBLEMS);
  return new PolicyError(code, [first, ...rest]);
}
