import type { CompiledPolicy } from './compile.ts';
import type { Decision } from './decide.ts';
import { decide } from './decide.ts';
import type { PolicyAction, PolicyRequest } from './request.ts';

/** A permit for the action whose scope or conditions the request does not meet. */
export interface UnmetPermit {
  readonly policy: string;
  readonly reason: string | undefined;
}

/** One line of a dry run. */
export interface Explanation extends Decision {
  readonly principal: string;
  readonly action: PolicyAction;
  /** Undefined where the action is not about a capsule. */
  readonly capsule: string | undefined;
  /** Where nothing permits the request: what might have, "why not". Empty otherwise. */
  readonly unmet: readonly UnmetPermit[];
}

/** A dry run: what `decide` would answer to each request, in order, and what is missing. Never throws. */
export function explain(
  compiled: CompiledPolicy,
  requests: readonly PolicyRequest[],
): readonly Explanation[] {
  return requests.map((request) => {
    const decision = decide(compiled, request);
    return {
      principal: request.principal.address,
      action: request.action,
      capsule: 'capsule' in request ? request.capsule.id : undefined,
      ...decision,
      unmet: isUnpermitted(decision) ? permits(compiled, request.action) : [],
    };
  });
}

const isUnpermitted = ({ outcome, policies, errors }: Decision): boolean =>
  outcome === 'deny' && policies.length === 0 && errors.length === 0;

function permits(compiled: CompiledPolicy, action: PolicyAction): readonly UnmetPermit[] {
  const applicable = [...(compiled.actions.get(action)?.byId.values() ?? [])];
  return applicable
    .filter(({ effect }) => effect === 'permit')
    .map(({ id, reason }) => ({ policy: id, reason }));
}
