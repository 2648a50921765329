/** The organisation's policy: get, set by version, history, dry run. */
import { isIP } from 'node:net';
import type { JsonObject } from '@astis/audit';
import type { CompiledPolicy } from '@astis/policy';
import { compilePolicy, decide, diffPolicies, explain, PolicyError } from '@astis/policy';
import {
  Page,
  PageQuery,
  Policy,
  PolicyChanged,
  PolicyDryRun,
  PolicyDryRunAnswer,
  PolicySet,
  ProblemError,
  parseArtifactId,
} from '@astis/protocol';
import type { Tx } from '@astis/store';
import { approvals, capsules, people, policies, requests } from '@astis/store';
import type { Static } from 'typebox';
import type { App } from '../app.ts';
import { visibleArtifact } from '../capsules/visible.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../http/authentication.ts';
import { callerOf } from '../http/authentication.ts';
import { pageOf } from '../http/page.ts';
import { refusals } from '../http/problems.ts';
import { authorise } from './authorise.ts';
import { policyPerson, subjectOf } from './subjects.ts';

type Version = Awaited<ReturnType<typeof policies.currentPolicy>>;

const shown = (version: Version): Policy => ({
  version: version.version,
  document: version.document,
  createdBy: version.createdBy,
  createdAt: version.createdAt.toISOString(),
});

function compile(document: unknown): CompiledPolicy {
  try {
    return compilePolicy(document);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new ProblemError('policy_invalid', error.message, {
      errors: error.problems.map(({ message, path, policy, line, column }) => ({
        path: [path, policy, line === undefined ? undefined : `line ${line}, column ${column}`]
          .filter((part) => part !== undefined)
          .join(' '),
        message,
      })),
    });
  }
}

async function setPolicy(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  { document, expectedVersion }: Static<typeof PolicySet>,
): Promise<Static<typeof PolicyChanged>> {
  // Compiling takes milliseconds and is not done under the log's lock.
  const compiled = compile(document);
  const { tenantId } = caller;
  return gateway.store.log.append(tenantId, async (tx) => {
    await authorise(tx, gateway, caller, ip, { action: 'managePolicy' });
    const before = await policies.currentPolicy(tx, tenantId);
    const principal = subjectOf(await people.getPerson(tx, tenantId, caller.personId));
    const now = Math.floor((await requests.databaseNow(tx)) / 1000);
    if (decide(compiled, { action: 'managePolicy', principal, now, ip }).outcome !== 'allow') {
      throw new ProblemError(
        'policy_invalid',
        'With this policy you could not change the policy again. Permit managePolicy to yourself.',
      );
    }
    const version = await policies.addPolicy(
      tx,
      tenantId,
      expectedVersion,
      compiled.document,
      caller.address,
    );
    const diff: JsonObject = JSON.parse(JSON.stringify(diffPolicies(before.document, compiled.document)));
    const events = [
      { kind: 'policy.changed', actor: caller.address, subject: 'policy', data: { version, diff } },
    ];
    return { events, finish: () => ({ version, diff }) };
  });
}

/** Everybody who is active, for one artifact: who could open it at that moment from that address, and why not. */
async function dryRun(
  gateway: Gateway,
  tx: Tx,
  caller: Caller,
  callerIp: string,
  body: Static<typeof PolicyDryRun>,
): Promise<PolicyDryRunAnswer> {
  const { tenantId } = caller;
  const { artifact } = await visibleArtifact(tx, caller, parseArtifactId(body.artifactId));
  await authorise(tx, gateway, caller, callerIp, { action: 'managePolicy' });
  const ip = body.ip ?? callerIp;
  if (isIP(ip) === 0) throw new ProblemError('invalid_request', 'ip is not an IPv4 or IPv6 address.');
  const policy =
    body.document === undefined
      ? (await gateway.store.policyCache.current(tx, tenantId)).policy
      : compile(body.document);
  const nowMs = body.at === undefined ? await requests.databaseNow(tx) : new Date(body.at).getTime();
  const list = await capsules.listCapsules(tx, tenantId, [artifact.artifactId]);
  const byAddress = new Map(list.map((capsule) => [capsule.address, capsule]));
  const { items } = await people.listPeople(tx, tenantId, { limit: 500 });
  const sealer = await policyPerson(tx, tenantId, artifact.sealer);
  const answers: PolicyDryRunAnswer['people'] = [];
  for (const person of items) {
    if (person.status !== 'active') continue;
    const capsule = byAddress.get(person.address);
    if (capsule === undefined) {
      answers.push({
        address: person.address,
        recipient: false,
        outcome: 'deny',
        policies: [],
        reasons: ['Not a recipient.'],
      });
      continue;
    }
    const ended =
      capsule.status === 'revoked'
        ? 'The capsule was revoked.'
        : capsule.expiresAt.getTime() <= nowMs
          ? 'The time to live has ended.'
          : undefined;
    const principal = subjectOf(person);
    const [explanation] = explain(policy, [
      {
        action: 'release',
        principal,
        now: Math.floor(nowMs / 1000),
        ip,
        approved: await approvals.isApproved(tx, tenantId, artifact.artifactId, person.address, 'release'),
        capsule: {
          id: artifact.artifactId,
          labels: artifact.labels,
          sealer,
          recipient: principal,
          sealedAt: Math.floor(artifact.sealedAt.getTime() / 1000),
          expiresAt: Math.floor(capsule.expiresAt.getTime() / 1000),
        },
      },
    ]);
    const reasons = [...(ended === undefined ? [] : [ended]), ...(explanation?.reasons ?? [])];
    answers.push({
      address: person.address,
      recipient: true,
      outcome: ended === undefined ? (explanation?.outcome ?? 'deny') : 'deny',
      policies: [...(explanation?.policies ?? [])],
      reasons,
    });
  }
  return { people: answers };
}

export function policyRoutes(app: App, gateway: Gateway): void {
  const { store } = gateway;

  app.get(
    '/v1/policy',
    {
      schema: {
        operationId: 'getPolicy',
        summary: 'The current policy',
        tags: ['policy'],
        response: { 200: Policy, ...refusals },
      },
    },
    (request) => {
      const { tenantId } = callerOf(request);
      return store.transaction(tenantId, async (tx) => shown(await policies.currentPolicy(tx, tenantId)));
    },
  );

  app.put(
    '/v1/policy',
    {
      schema: {
        operationId: 'setPolicy',
        summary: 'Set the policy; validated, versioned and logged with its diff',
        tags: ['policy'],
        body: PolicySet,
        response: { 200: PolicyChanged, ...refusals },
      },
    },
    (request) => setPolicy(gateway, callerOf(request), request.ip, request.body),
  );

  app.get(
    '/v1/policy/versions',
    {
      schema: {
        operationId: 'listPolicies',
        summary: 'All versions, newest first',
        tags: ['policy'],
        querystring: PageQuery,
        response: { 200: Page(Policy), ...refusals },
      },
    },
    async (request) => {
      const { tenantId } = callerOf(request);
      const page = await store.transaction(tenantId, (tx) =>
        policies.listPolicies(tx, tenantId, pageOf(request.query)),
      );
      return { ...page, items: page.items.map(shown) };
    },
  );

  app.post(
    '/v1/policy/dry-run',
    {
      schema: {
        operationId: 'dryRunPolicy',
        summary: 'Who could open an artifact, and why not',
        tags: ['policy'],
        body: PolicyDryRun,
        response: { 200: PolicyDryRunAnswer, ...refusals },
      },
    },
    (request) => {
      const caller = callerOf(request);
      return store.transaction(caller.tenantId, (tx) =>
        dryRun(gateway, tx, caller, request.ip, request.body),
      );
    },
  );
}
