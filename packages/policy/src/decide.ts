import type { Response } from '@cedar-policy/cedar-wasm';
import { cedarCall } from './cedar-call.ts';
import type { ActionPolicies, CompiledPolicy } from './compile.ts';
import { remember, remembered } from './decision-cache.ts';
import { assertHealthy, isAuthorized } from './engine.ts';
import type { PolicyProblem } from './errors.ts';
import { preparsedName } from './preparsed.ts';
import type { PolicyRequest } from './request.ts';

export interface Decision {
  /** `approval_required`: refused as it stands, and allowed once a second person approves. */
  readonly outcome: 'allow' | 'deny' | 'approval_required';
  /** Ids of the policies that decided: permits that allowed, or forbids that refused; none if nothing permits it. */
  readonly policies: readonly string[];
  /** Why, for people: the `@reason` of each deciding policy that has one. Always one or more on a refusal. */
  readonly reasons: readonly string[];
  /** What went wrong during evaluation. If anything did, the outcome is `deny`. */
  readonly errors: readonly PolicyProblem[];
}

/** Reason of a refusal by no policy in particular. */
export const NOTHING_PERMITS = 'No policy allows this.';
const NEEDS_APPROVAL = 'A second person has to approve this first.';
const FORBIDDEN = 'A policy forbids this.';
const NOT_EVALUATED = 'The policy could not be evaluated.';

/**
 * Decides one request. Pure but for caches; never throws: whatever goes wrong, the outcome is `deny` and `errors`
 * says why. The caller has checked the facts in the request; this only judges them.
 */
export function decide(compiled: CompiledPolicy, request: PolicyRequest): Decision {
  try {
    assertHealthy();
    const policies = compiled.actions.get(request.action);
    if (policies === undefined) return failed([{ message: 'unknown action' }]);
    const response = ask(compiled, policies, request);
    const refusedUnapproved = response.decision === 'deny' && 'approved' in request && !request.approved;
    return conclude(
      policies,
      response,
      refusedUnapproved && allowedOnceApproved(compiled, policies, request),
    );
  } catch (error) {
    return failed([{ message: error instanceof Error ? error.message : 'evaluation failed' }]);
  }
}

function ask(compiled: CompiledPolicy, policies: ActionPolicies, request: PolicyRequest): Response {
  const call = cedarCall(compiled, policies, request);
  const key = `${compiled.serial} ${JSON.stringify(call)}`;
  const known = remembered(key);
  if (known !== undefined) return known;
  const answer = isAuthorized({ ...call, preparsedPolicySetId: preparsedName(policies) });
  if (answer.type === 'failure')
    throw new Error(answer.errors[0]?.message ?? 'the request was not understood');
  remember(key, answer.response);
  return answer.response;
}

function allowedOnceApproved(
  compiled: CompiledPolicy,
  policies: ActionPolicies,
  request: Extract<PolicyRequest, { readonly approved: boolean }>,
): boolean {
  if (!policies.reads.attributes.has('approved') && !policies.reads.wholeContext) return false;
  const { decision, diagnostics } = ask(compiled, policies, { ...request, approved: true });
  return decision === 'allow' && diagnostics.errors.length === 0;
}

function conclude(
  policies: ActionPolicies,
  { decision, diagnostics }: Response,
  approvable: boolean,
): Decision {
  if (diagnostics.errors.length > 0) {
    return failed(
      diagnostics.errors.map(({ policyId, error }) => ({ message: error.message, policy: policyId })),
    );
  }
  // In the document's order, whatever Cedar's is.
  const deciding = new Set(diagnostics.reason);
  const ids = [...policies.byId.keys()].filter((id) => deciding.has(id));
  const told = ids.flatMap((id) => policies.byId.get(id)?.reason ?? []);
  if (decision === 'allow') return { outcome: 'allow', policies: ids, reasons: told, errors: [] };
  const untold = approvable ? NEEDS_APPROVAL : ids.length === 0 ? NOTHING_PERMITS : FORBIDDEN;
  return {
    outcome: approvable ? 'approval_required' : 'deny',
    policies: ids,
    reasons: told.length > 0 ? told : [untold],
    errors: [],
  };
}

const failed = (errors: readonly PolicyProblem[]): Decision => ({
  outcome: 'deny',
  policies: [],
  reasons: [NOT_EVALUATED],
  errors,
});
