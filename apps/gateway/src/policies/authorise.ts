/** Asks the tenant's policy whether the caller may. Releases ask in the store, inside their transaction. */
import type { PolicyCapsule, PolicyPerson, PolicyRequest } from '@astis/policy';
import { decide } from '@astis/policy';
import { ProblemError } from '@astis/protocol';
import type { Tx } from '@astis/store';
import { people, requests } from '@astis/store';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../http/authentication.ts';
import { subjectOf } from './subjects.ts';

/** A request without what every request has. */
export type Question =
  | { readonly action: 'seal' | 'extend'; readonly capsule: PolicyCapsule; readonly ttlSeconds: number }
  | { readonly action: 'recover'; readonly capsule: PolicyCapsule; readonly approved: boolean }
  | {
      readonly action: 'approveRelease' | 'approveRecovery';
      readonly capsule: PolicyCapsule;
      readonly requester: PolicyPerson;
    }
  | { readonly action: 'revoke'; readonly capsule: PolicyCapsule }
  | { readonly action: 'invite'; readonly person: PolicyPerson }
  | { readonly action: 'managePeople' | 'managePolicy' | 'manageKeys' | 'readAudit' };

/** Throws `forbidden` or `approval_required` with policy's reasons; returns nothing when it is allowed. */
export async function authorise(
  tx: Tx,
  { store }: Pick<Gateway, 'store'>,
  caller: Caller,
  ip: string,
  ...questions: readonly Question[]
): Promise<void> {
  const person = await people.getPerson(tx, caller.tenantId, caller.personId);
  const { policy } = await store.policyCache.current(tx, caller.tenantId);
  const now = Math.floor((await requests.databaseNow(tx)) / 1000);
  for (const question of questions) {
    const request: PolicyRequest = { ...question, principal: subjectOf(person), now, ip };
    const { outcome, reasons } = decide(policy, request);
    if (outcome === 'allow') continue;
    const extras = { reasons: [...reasons] };
    if (outcome === 'approval_required') {
      throw new ProblemError('approval_required', 'A second person must approve this first.', extras);
    }
    throw new ProblemError('forbidden', `Policy does not allow it: ${reasons.join(' ')}`, extras);
  }
}
