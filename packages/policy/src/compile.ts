import type { ActionConstraint, EntityUidJson, PolicyJson } from '@cedar-policy/cedar-wasm';
import { Value } from 'typebox/value';
import { MAX_CEDAR_BYTES, PolicyDocument } from './document.ts';
import { policyToJson } from './engine.ts';
import type { PolicyProblem } from './errors.ts';
import { PolicyError } from './errors.ts';
import { guardsFor } from './guards.ts';
import type { LocalTime } from './local-time.ts';
import { localClock } from './local-time.ts';
import { parsePolicies, validateStrictly } from './parse.ts';
import type { Reads } from './reads.ts';
import { readsOf } from './reads.ts';
import type { PolicyAction } from './request.ts';
import { ACTION_GROUPS, POLICY_ACTIONS } from './request.ts';

/** A policy that can decide about an action. */
export interface ApplicablePolicy {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly reason: string | undefined;
  readonly text: string;
}

/** The policies that can decide about one action. Their set is exact: Cedar's action scope alone picks them. */
export interface ActionPolicies {
  readonly byId: ReadonlyMap<string, ApplicablePolicy>;
  readonly reads: Reads;
  /** Length of all their text. */
  readonly size: number;
}

/** A document that was checked, ready for `decide`. Immutable; may be kept for as long as its version is current. */
export interface CompiledPolicy {
  readonly document: PolicyDocument;
  /** The groups that the policies name. No other can change a decision, so no other need be looked up. */
  readonly groups: ReadonlySet<string>;
  /** What the validator finds odd but harmless, such as a policy that never applies. */
  readonly warnings: readonly PolicyProblem[];
  /** Never used twice in a process: keeps decisions of two documents apart. */
  readonly serial: number;
  readonly actions: ReadonlyMap<PolicyAction, ActionPolicies>;
  readonly localTime: (epochSeconds: number) => LocalTime;
}

let lastSerial = 0;

/** Checks a document, wherever it came from, and makes it ready for decisions. Throws `PolicyError` and nothing else. */
export function compilePolicy(input: unknown): CompiledPolicy {
  const document = checkDocument(input);
  const localTime = localClock(document.timeZone);
  if (localTime === undefined) {
    throw new PolicyError('policy_time_zone_unknown', [
      { message: 'timeZone is not a time zone of the IANA database', path: '/timeZone' },
    ]);
  }
  const parsed = parsePolicies(document.cedar);
  const warnings = validateStrictly(parsed, document.cedar);
  const policies = [
    ...parsed.map((policy) => ({ ...policy, actions: actionsOf(policy.json.action) })),
    ...guardsFor(document).map((guard) => ({
      ...guard,
      effect: 'forbid' as const,
      json: guardJson(guard.text),
    })),
  ];
  const actions = new Map(
    POLICY_ACTIONS.map((action): [PolicyAction, ActionPolicies] => {
      const applicable = policies.filter((policy) => policy.actions.includes(action));
      return [
        action,
        {
          byId: new Map(applicable.map(({ id, effect, reason, text }) => [id, { id, effect, reason, text }])),
          reads: readsOf(applicable.map(({ json }) => json)),
          size: applicable.reduce((sum, { text }) => sum + text.length, 0),
        },
      ];
    }),
  );
  const groups = readsOf(policies.map(({ json }) => json)).named.get('Group') ?? new Set();
  lastSerial += 1;
  return Object.freeze({ document, groups, warnings, serial: lastSerial, actions, localTime });
}

function checkDocument(input: unknown): PolicyDocument {
  if (!Value.Check(PolicyDocument, input))
    throw new PolicyError('policy_document_invalid', shapeProblems(input));
  // Copied, so that nobody changes it afterwards.
  const document: PolicyDocument = Object.freeze({ ...input });
  if (document.defaultTtlSeconds > document.maxTtlSeconds) {
    throw new PolicyError('policy_ttl_invalid', [
      { message: 'defaultTtlSeconds is above maxTtlSeconds', path: '/defaultTtlSeconds' },
    ]);
  }
  if (new TextEncoder().encode(document.cedar).length > MAX_CEDAR_BYTES) {
    throw new PolicyError('policy_too_large', [
      { message: `cedar has more than ${MAX_CEDAR_BYTES} bytes`, path: '/cedar' },
    ]);
  }
  return document;
}

function shapeProblems(input: unknown): [PolicyProblem, ...PolicyProblem[]] {
  const [first, ...rest] = Value.Errors(PolicyDocument, input)
    .slice(0, 20)
    // An unknown field is reported twice: where it stands, which is kept, and on the object around it.
    .filter(({ keyword }) => keyword !== 'additionalProperties')
    .map(({ keyword, message, instancePath }): PolicyProblem => {
      return { message: keyword === 'boolean' ? 'unknown field' : message.slice(0, 500), path: instancePath };
    });
  return first === undefined ? [{ message: 'not a policy document' }] : [first, ...rest];
}

function guardJson(text: string): PolicyJson {
  const answer = policyToJson(text);
  if (answer.type === 'success') return answer.json;
  throw new PolicyError('policy_engine_failed', [{ message: 'a built-in rule does not parse' }]);
}

/** The actions within a policy's action scope. */
function actionsOf(scope: ActionConstraint): readonly PolicyAction[] {
  if (scope.op === 'All') return POLICY_ACTIONS;
  const entities = 'entities' in scope ? scope.entities : 'entity' in scope ? [scope.entity] : [];
  const named = new Set(entities.map(idOf));
  return POLICY_ACTIONS.filter((action) => {
    const group = ACTION_GROUPS.get(action);
    return named.has(action) || (scope.op === 'in' && group !== undefined && named.has(group));
  });
}

const idOf = (entity: EntityUidJson): string => ('__entity' in entity ? entity.__entity.id : entity.id);
