import type { CedarValueJson, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { isAuthorized, validate } from '@cedar-policy/cedar-wasm/nodejs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from './compile.ts';
import { decide } from './decide.ts';
import { PolicyError } from './errors.ts';
import { carol, release, withCedar } from './example-requests.ts';
import { guardsFor } from './guards.ts';
import { localClock } from './local-time.ts';
import type { PolicyCapsule, PolicyPerson, PolicyRequest } from './request.ts';
import { POLICY_ACTIONS } from './request.ts';
import { cedarSchema } from './schema.ts';

/** Few values of each kind, so that conditions are met about as often as not. */
const people: fc.Arbitrary<readonly PolicyPerson[]> = fc.tuple(
  ...['alice@example.com', 'bob@example.com', 'eve@elsewhere.example'].map((address) =>
    fc.record({
      address: fc.constant(address),
      admin: fc.boolean(),
      outsider: fc.boolean(),
      service: fc.boolean(),
      hardwareBacked: fc.boolean(),
      groups: fc.subarray(['legal', 'staff', 'board']),
    }),
  ),
);
const seconds = fc.integer({ min: 1_770_000_000, max: 1_790_000_000 });

const requests: fc.Arbitrary<PolicyRequest> = people.chain((all) => {
  const someone = fc.constantFrom(...all);
  const capsule: fc.Arbitrary<PolicyCapsule> = fc.record({
    id: fc.constantFrom('one', 'two'),
    labels: fc.subarray(['secret', 'board']),
    sealer: someone,
    recipient: someone,
    sealedAt: seconds,
    expiresAt: seconds,
  });
  const circumstances = {
    principal: someone,
    now: seconds,
    ip: fc.constantFrom('10.1.2.3', '::ffff:10.1.2.3', '192.0.2.1', '2001:db8::1'),
  };
  return fc.oneof(
    fc
      .record({
        ...circumstances,
        action: fc.constantFrom('release' as const, 'recover' as const),
        capsule,
        approved: fc.boolean(),
        own: fc.boolean(),
      })
      .map(({ own, ...request }) => {
        return own ? { ...request, capsule: { ...request.capsule, recipient: request.principal } } : request;
      }),
    fc.record({
      ...circumstances,
      action: fc.constantFrom('seal' as const, 'extend' as const),
      capsule,
      ttlSeconds: fc.integer({ min: 1, max: 100_000 }),
    }),
    fc.record({
      ...circumstances,
      action: fc.constantFrom('approveRelease' as const, 'approveRecovery' as const),
      capsule,
      requester: someone,
    }),
    fc.record({ ...circumstances, action: fc.constant('revoke' as const), capsule }),
    fc.record({ ...circumstances, action: fc.constant('invite' as const), person: someone }),
    fc.record({
      ...circumstances,
      action: fc.constantFrom('managePeople' as const, 'managePolicy' as const, 'readAudit' as const),
    }),
  );
});

const SCOPES = [
  'principal, action, resource',
  'principal, action in [Action::"seal", Action::"release", Action::"approve"], resource',
  'principal, action == Action::"release", resource',
  'principal, action in [Action::"release", Action::"recover"], resource',
  'principal, action in Action::"manage", resource',
  'principal, action in Action::"approve", resource',
  'principal in Group::"staff", action, resource',
  'principal in Group::"staff", action, resource is Capsule',
  'principal is Person in Group::"board", action in [Action::"manage", Action::"invite"], resource is Organisation',
  'principal == Person::"alice@example.com", action, resource is Capsule',
  'principal, action, resource == Capsule::"one"',
];
const CONDITIONS = [
  'true',
  'principal.admin',
  'principal.outsider',
  'principal.service',
  'principal.hardwareBacked',
  'principal.domain == "example.com"',
  'principal.address like "b*"',
  'principal["admin"]',
  'principal has admin',
  'principal in Group::"legal"',
  'principal in [Group::"board", Person::"bob@example.com"]',
  'principal == Person::"bob@example.com"',
  'principal in Person::"alice@example.com"',
  'context.hour < 12',
  'context.minute >= 30',
  'context.weekday > 5',
  'context.date < "2026-06-01"',
  'context.ip.isInRange(ip("10.0.0.0/8"))',
  'context.ip.isIpv6()',
  'context.now < datetime("2026-06-01")',
  'context.hour * 9223372036854775807 > 0',
  'context.ttlSeconds > 50000',
  'context.approved',
  'context.approved && context.hour < 20',
  'context.requester.outsider',
  'context has ip',
  '{c: context}.c.hour < 12',
  'action in Action::"manage"',
  'action == Action::"release"',
  'resource.recipient == principal',
  'resource.sealer == principal',
  'resource.labels.contains("secret")',
  'resource.labels.isEmpty()',
  'resource.sealer in Group::"legal"',
  'resource.recipient in Group::"board"',
  'resource.recipient.outsider',
  'resource.sealer.admin',
  'resource.sealedAt < resource.expiresAt',
  'resource == Capsule::"one"',
  'resource in [Capsule::"two"]',
  'context.now > resource.expiresAt',
  'context.now.durationSince(resource.sealedAt) > duration("10d")',
];

/** Of each scope, the clauses that fit it: Cedar's validator says which. */
function fitting(scope: string): readonly string[] {
  const clauses = CONDITIONS.flatMap((condition) => [`when { ${condition} }`, `unless { ${condition} }`]);
  const policies = Object.fromEntries(clauses.map((clause) => [clause, `permit (${scope}) ${clause};`]));
  const answer = validate({ schema: cedarSchema, policies: { staticPolicies: policies } });
  if (answer.type === 'failure') throw new Error(answer.errors.map(({ message }) => message).join());
  const unfit = new Set(
    [...answer.validationErrors, ...answer.validationWarnings].map(({ policyId }) => policyId),
  );
  return clauses.filter((clause) => !unfit.has(clause));
}
const policy = fc
  .oneof(
    ...SCOPES.map((scope) =>
      fc.tuple(fc.constant(scope), fc.array(fc.constantFrom(...fitting(scope)), { maxLength: 2 })),
    ),
  )
  .chain(([scope, clauses]) =>
    fc.constantFrom('permit', 'forbid').map((effect) => `${effect} (${scope}) ${clauses.join(' ')};`),
  );
/** Half of the documents allow everything to start with, and want approvals, so that refusals are not all there is. */
const documents = (maxLength: number): fc.Arbitrary<string[]> =>
  fc
    .tuple(fc.subarray(OPENING), fc.array(policy, { maxLength }))
    .map(([opening, more]) => [...opening, ...more]);
const OPENING = [
  'permit (principal, action, resource);',
  'forbid (principal, action in [Action::"release", Action::"recover"], resource) unless { context.approved };',
];
const text = (policies: readonly string[]): string =>
  policies.map((body, i) => `@id("p${i}") ${body}`).join('\n');

/** Two clauses that fit a scope may still contradict each other; such a policy is refused. */
function compiled(
  policies: readonly string[],
  recovery: boolean,
): ReturnType<typeof compilePolicy> | undefined {
  try {
    return compilePolicy(withCedar(text(policies), { recovery, timeZone: 'America/New_York' }));
  } catch (error) {
    if (error instanceof PolicyError && error.code === 'policy_invalid') return undefined;
    throw error;
  }
}

/** Cedar's own answer, given everything: one set of all policies, every fact, the schema, the request validated. */
function reference(policies: readonly string[], recovery: boolean, request: PolicyRequest) {
  const uid = ({ address }: PolicyPerson): TypeAndId => ({ type: 'Person', id: address });
  const datetime = (at: number): CedarValueJson => ({
    __extn: { fn: 'datetime', arg: new Date(at * 1000).toISOString() },
  });
  const entities = new Map<string, EntityJson>();
  const introduce = (who: PolicyPerson): { __entity: TypeAndId } => {
    const { address, groups, ...facts } = who;
    entities.set(address, {
      uid: uid(who),
      attrs: { ...facts, address, domain: address.split('@')[1] ?? '' },
      parents: groups.map((id) => ({ type: 'Group', id })),
    });
    return { __entity: uid(who) };
  };
  introduce(request.principal);
  let resource: TypeAndId = { type: 'Organisation', id: 'self' };
  if ('person' in request) resource = introduce(request.person).__entity;
  if ('capsule' in request) {
    const { id, labels, sealer, recipient, sealedAt, expiresAt } = request.capsule;
    resource = { type: 'Capsule', id };
    entities.set('capsule', {
      uid: resource,
      attrs: {
        labels: [...labels],
        sealer: introduce(sealer),
        recipient: introduce(recipient),
        sealedAt: datetime(sealedAt),
        expiresAt: datetime(expiresAt),
      },
      parents: [],
    });
  }
  const context: Record<string, CedarValueJson> = {
    ...localClock('America/New_York')?.(request.now),
    now: datetime(request.now),
    ip: { __extn: { fn: 'ip', arg: request.ip.replace('::ffff:', '') } },
  };
  if ('approved' in request) context['approved'] = request.approved;
  if ('ttlSeconds' in request) context['ttlSeconds'] = request.ttlSeconds;
  if ('requester' in request) context['requester'] = introduce(request.requester);
  const answer = isAuthorized({
    principal: uid(request.principal),
    action: { type: 'Action', id: request.action },
    resource,
    context,
    schema: cedarSchema,
    validateRequest: true,
    policies: {
      staticPolicies: Object.fromEntries([
        ...policies.map((body, i) => [`p${i}`, body] as const),
        ...guardsFor({ recovery }).map((guard) => [guard.id, guard.text] as const),
      ]),
    },
    entities: [...entities.values()],
  });
  if (answer.type === 'failure') throw new Error(answer.errors.map(({ message }) => message).join());
  return answer.response;
}

describe('decide', () => {
  it('answers what Cedar answers when it is given everything', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(
        documents(4),
        fc.boolean(),
        fc.array(requests, { minLength: 1, maxLength: 8 }),
        (policies, recovery, asked) => {
          const document = compiled(policies, recovery);
          fc.pre(document !== undefined);
          for (const request of asked) {
            const { decision, diagnostics } = reference(policies, recovery, request);
            const { outcome, policies: ids, errors } = decide(document, request);
            // An error refuses here; Cedar would go on without the policy.
            if (diagnostics.errors.length > 0) {
              expect(outcome).toBe('deny');
              expect(errors.map((error) => error.policy).sort()).toEqual(
                diagnostics.errors.map((e) => e.policyId).sort(),
              );
              seen.add('error');
              continue;
            }
            expect(outcome === 'allow').toBe(decision === 'allow');
            expect([...ids].sort()).toEqual([...diagnostics.reason].sort());
            seen.add(outcome);
            if (!('approved' in request) || request.approved || decision === 'allow') continue;
            const approved = reference(policies, recovery, { ...request, approved: true });
            const helps = approved.decision === 'allow' && approved.diagnostics.errors.length === 0;
            expect(outcome).toBe(helps ? 'approval_required' : 'deny');
          }
        },
      ),
      {
        numRuns: 150,
        // So that each kind of answer is compared in every run.
        examples: [
          [OPENING, false, [release(), release({ approved: true }), release({ principal: carol })]],
          [
            ['forbid (principal, action, resource) when { context.hour * 9223372036854775807 > 0 };'],
            false,
            [release()],
          ],
        ],
      },
    );

    expect(seen).toEqual(new Set(['allow', 'deny', 'approval_required', 'error']));
  });

  it('allows nothing without a policy', () => {
    const nothing = compilePolicy(withCedar('', { recovery: true }));
    fc.assert(
      fc.property(requests, (request) => {
        expect(decide(nothing, request).outcome).toBe('deny');
      }),
    );
  });

  it('allows nothing more for another forbid', () => {
    const forbid = policy.map((body) => body.replace(/^permit/, 'forbid'));
    fc.assert(
      fc.property(documents(4), forbid, fc.array(requests, { minLength: 5 }), (policies, more, asked) => {
        const before = compiled(policies, true);
        const after = compiled([...policies, more], true);
        fc.pre(before !== undefined && after !== undefined);
        for (const request of asked) {
          if (decide(before, request).outcome !== 'allow')
            expect(decide(after, request).outcome).not.toBe('allow');
        }
      }),
      { numRuns: 200 },
    );
  });

  it('always has a reason to refuse, and never throws, whatever it is given', () => {
    const document = compilePolicy(
      withCedar(
        `@id("a") permit (principal, action, resource) when { context.hour < 12 || context.ip.isLoopback() || principal.admin };
         @id("b") forbid (principal, action, resource is Capsule) when { context.now < resource.sealedAt || resource.labels.contains(principal.address) };
         @id("c") forbid (principal in Group::"x", action == Action::"seal", resource) when { context.ttlSeconds > 5 };`,
      ),
    );
    const odd = fc.record({
      principal: fc.record({
        address: fc.string(),
        admin: fc.boolean(),
        outsider: fc.boolean(),
        service: fc.boolean(),
        hardwareBacked: fc.boolean(),
        groups: fc.array(fc.string()),
      }),
      now: fc.double(),
      ip: fc.oneof(fc.string(), fc.ipV4(), fc.ipV6()),
      capsule: fc.record({
        id: fc.string(),
        labels: fc.array(fc.string({ unit: 'binary' })),
        sealer: fc.constant(oddPerson),
        recipient: fc.constant(oddPerson),
        sealedAt: fc.double(),
        expiresAt: fc.double(),
      }),
      ttlSeconds: fc.double(),
      approved: fc.boolean(),
      requester: fc.constant(oddPerson),
      person: fc.constant(oddPerson),
    });
    fc.assert(
      fc.property(fc.constantFrom(...POLICY_ACTIONS), odd, (action, { person, ...facts }) => {
        const request = action === 'invite' ? { ...facts, action, person } : { ...facts, action };
        const decision = decide(document, request);
        if (decision.outcome !== 'allow') expect(decision.reasons.length).toBeGreaterThan(0);
        if (decision.errors.length > 0) expect(decision.outcome).toBe('deny');
      }),
      { numRuns: 500 },
    );
  });
});

const oddPerson: PolicyPerson = {
  address: '__proto__',
  admin: false,
  outsider: false,
  service: false,
  hardwareBacked: false,
  groups: ['__entity'],
};
