/** A request as Cedar takes it, with nothing that its policies do not read. */
import type {
  CedarValueJson,
  EntityJson,
  StatefulAuthorizationCall,
  TypeAndId,
} from '@cedar-policy/cedar-wasm';
import type { ActionPolicies, CompiledPolicy } from './compile.ts';
import { networkAddress } from './network-address.ts';
import type { PolicyCapsule, PolicyPerson, PolicyRequest } from './request.ts';
import { ACTION_GROUPS } from './request.ts';

export type CedarCall = Omit<StatefulAuthorizationCall, 'preparsedPolicySetId' | 'preparsedSchemaName'>;

/**
 * Equal inputs give equal calls, key by key and in the same order. Throws on what cannot be told to Cedar, such as a
 * time that is no time. If a person stands in two places, the principal's facts count.
 */
export function cedarCall(
  compiled: CompiledPolicy,
  policies: ActionPolicies,
  request: PolicyRequest,
): CedarCall {
  const reads = narrow(policies);
  const entities: EntityJson[] = [];
  const people = new Set<string>();
  const person = (facts: PolicyPerson): TypeAndId => {
    const uid = personId(facts);
    if (reads.people && !people.has(uid.id)) {
      people.add(uid.id);
      entities.push(personEntity(uid, facts, reads));
    }
    return uid;
  };
  const principal = person(request.principal);
  const resource = resourceOf(request, reads, person, entities);
  const context = contextOf(compiled, request, reads, person);
  const action = { type: 'Action', id: request.action };
  const group = ACTION_GROUPS.get(request.action);
  if (group !== undefined)
    entities.push({ uid: action, attrs: {}, parents: [{ type: 'Action', id: group }] });
  return { principal, action, resource, context, entities };
}

/** What these policies read, by the places where we have it. Computed once for each set of policies. */
interface Narrow {
  readonly wants: (attribute: string) => boolean;
  readonly wantsOfContext: (attribute: string) => boolean;
  /** Whether anything about people matters but their addresses. */
  readonly people: boolean;
  readonly groups: readonly string[];
  readonly namesCapsules: boolean;
}

const narrowed = new WeakMap<ActionPolicies, Narrow>();
const PERSON_ATTRIBUTES = ['address', 'domain', 'admin', 'outsider', 'service', 'hardwareBacked'];

function narrow(policies: ActionPolicies): Narrow {
  const known = narrowed.get(policies);
  if (known !== undefined) return known;
  const { attributes, wholeContext, named } = policies.reads;
  const groups = [...(named.get('Group') ?? [])];
  const wants = (attribute: string): boolean => attributes.has(attribute);
  const narrow: Narrow = {
    wants,
    wantsOfContext: wholeContext ? () => true : wants,
    people: groups.length > 0 || PERSON_ATTRIBUTES.some(wants),
    groups,
    namesCapsules: named.has('Capsule'),
  };
  narrowed.set(policies, narrow);
  return narrow;
}

const personId = ({ address }: PolicyPerson): TypeAndId => ({ type: 'Person', id: address });

function personEntity(uid: TypeAndId, facts: PolicyPerson, { wants, groups }: Narrow): EntityJson {
  const attrs: Record<string, CedarValueJson> = {};
  if (wants('address')) attrs['address'] = facts.address;
  if (wants('domain')) attrs['domain'] = facts.address.slice(facts.address.lastIndexOf('@') + 1);
  if (wants('admin')) attrs['admin'] = facts.admin;
  if (wants('outsider')) attrs['outsider'] = facts.outsider;
  if (wants('service')) attrs['service'] = facts.service;
  if (wants('hardwareBacked')) attrs['hardwareBacked'] = facts.hardwareBacked;
  const parents = groups.filter((group) => facts.groups.includes(group)).map((id) => ({ type: 'Group', id }));
  return { uid, attrs, parents };
}

type Introduce = (facts: PolicyPerson) => TypeAndId;

function resourceOf(
  request: PolicyRequest,
  reads: Narrow,
  person: Introduce,
  entities: EntityJson[],
): TypeAndId {
  if ('person' in request) return person(request.person);
  if (!('capsule' in request)) return { type: 'Organisation', id: 'self' };
  const { capsule } = request;
  // Where no policy names a capsule, its id cannot matter; without it, the same question about the next capsule is
  // the same call.
  const uid = { type: 'Capsule', id: reads.namesCapsules ? capsule.id : '' };
  entities.push({ uid, attrs: capsuleAttributes(capsule, reads, person), parents: [] });
  return uid;
}

function capsuleAttributes(
  capsule: PolicyCapsule,
  { wants }: Narrow,
  person: Introduce,
): EntityJson['attrs'] {
  const attrs: Record<string, CedarValueJson> = {};
  if (wants('labels')) attrs['labels'] = [...capsule.labels];
  if (wants('sealer')) attrs['sealer'] = { __entity: person(capsule.sealer) };
  if (wants('recipient')) attrs['recipient'] = { __entity: person(capsule.recipient) };
  if (wants('sealedAt')) attrs['sealedAt'] = datetime(capsule.sealedAt);
  if (wants('expiresAt')) attrs['expiresAt'] = datetime(capsule.expiresAt);
  return attrs;
}

function contextOf(
  compiled: CompiledPolicy,
  request: PolicyRequest,
  { wantsOfContext: wants }: Narrow,
  person: Introduce,
): Record<string, CedarValueJson> {
  const context: Record<string, CedarValueJson> = {};
  if (wants('now')) context['now'] = datetime(request.now);
  if (wants('date') || wants('hour') || wants('minute') || wants('weekday')) {
    const { date, hour, minute, weekday } = compiled.localTime(request.now);
    if (wants('date')) context['date'] = date;
    if (wants('hour')) context['hour'] = hour;
    if (wants('minute')) context['minute'] = minute;
    if (wants('weekday')) context['weekday'] = weekday;
  }
  if (wants('ip')) context['ip'] = { __extn: { fn: 'ip', arg: networkAddress(request.ip) } };
  if ('ttlSeconds' in request && wants('ttlSeconds')) context['ttlSeconds'] = request.ttlSeconds;
  if ('approved' in request && wants('approved')) context['approved'] = request.approved;
  if ('requester' in request && wants('requester'))
    context['requester'] = { __entity: person(request.requester) };
  return context;
}

/** Whole seconds since 1970 as Cedar's datetime. Throws RangeError past the years it can say. */
const datetime = (epochSeconds: number): CedarValueJson => ({
  __extn: { fn: 'datetime', arg: new Date(Math.floor(epochSeconds) * 1000).toISOString() },
});
