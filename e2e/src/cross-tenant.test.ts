/**
 * Tenant A's valid token with tenant B's ids gets the same answer as with ids that do not exist, on every route. The
 * requests are made from the OpenAPI document: each parameter and each member of a body that can name something takes
 * B's and then a made-up one. A route or a name that is new fails the first test until it says here what it names.
 */
import { randomBytes } from 'node:crypto';
import {
  localSigner,
  newKemKeyPair,
  newSigningKey,
  signEnrolment,
  signObject,
  signStatement,
} from '@astis/crypto';
import type {
  Address,
  ArtifactId,
  CustodyOrder,
  KeyId,
  PersonId,
  SignedType,
  TenantId,
} from '@astis/protocol';
import {
  Approval,
  encodeCustodyOrder,
  encodeGrant,
  encodeRevocation,
  encodeTenantOrder,
  Page,
  Person,
  Policy,
  PolicyChanged,
  parseAddress,
  parsePersonId,
  parseTenantId,
  Rotation,
  toBase64Url,
} from '@astis/protocol';
import { custodyOrder, enrolmentSigner, parseEnrolmentCode, requestRelease } from '@astis/sdk';
import type { Member, Organisation } from '@astis/testkit';
import { newOrganisation } from '@astis/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Token } from './crafted-request.fixture.ts';
import { craft, getToken } from './crafted-request.fixture.ts';
import type { Scene } from './scene.fixture.ts';
import { refusal, seal, startScene } from './scene.fixture.ts';

/** What an organisation has that a request may name. */
interface Facts {
  readonly tenantId: TenantId;
  readonly domain: string;
  readonly address: Address;
  readonly serial: number;
  readonly personId: PersonId;
  readonly artifactId: ArtifactId;
  readonly approvalId: string;
  readonly rotationId: string;
  readonly keyId: KeyId;
  readonly enrolmentKeyId: KeyId;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: { readonly properties?: object } }>>;
  };
  readonly security?: readonly unknown[];
}
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH';

/** A value that names something of `facts`, as the caller would send it. */
type Naming = (facts: Facts, caller: Member) => Promise<unknown> | unknown;
/** A value that names nothing: the same whoever's ids are tried. */
interface Plain {
  readonly plain: unknown;
}
type Part = Naming | Plain;

const nothing = (plain: unknown): Plain => ({ plain });
const soon = (): number => Math.floor(Date.now() / 1000);
const signed = async (type: SignedType, payload: Uint8Array, caller: Member): Promise<string> =>
  toBase64Url(await signObject(type, payload, caller.identity.signer));
const order =
  (action: CustodyOrder['action'], subject: (facts: Facts) => string): Naming =>
  (facts, { client }) =>
    custodyOrder(client, action, subject(facts));

const ADDRESSES: Naming = ({ address }) => [address];
const ARTIFACT: Naming = ({ artifactId }) => artifactId;
const EXPIRES = nothing(new Date(Date.now() + 600_000).toISOString());
// Left out of requests: an opaque place in the caller's own listing.
const LEFT_OUT = nothing(undefined);

/** What every name of every operation stands for; path and query parameters and the members of the body. */
const NAMES: Readonly<Record<string, Readonly<Record<string, Part>>>> = {
  getToken: {
    grant_type: nothing('client_credentials'),
    client_assertion_type: nothing('urn:ietf:params:oauth:client-assertion-type:jwt-bearer'),
    async client_assertion({ personId }, { identity }) {
      const claims = {
        iss: personId,
        sub: personId,
        aud: `${identity.gatewayUrl}/oauth/token`,
        iat: soon(),
        exp: soon() + 60,
      };
      const segments = [{ alg: 'EdDSA' }, { ...claims, jti: crypto.randomUUID() }];
      const input = segments.map((part) => toBase64Url(Buffer.from(JSON.stringify(part)))).join('.');
      return `${input}.${toBase64Url(await identity.signer.sign(Buffer.from(input)))}`;
    },
  },
  getAuthorizationServerMetadata: {},
  createTenant: {
    order: ({ tenantId, domain, address }, caller) =>
      signed(
        'astis/tenant-order',
        encodeTenantOrder({
          tenantId,
          domain,
          name: 'taken over',
          admin: address,
          enrolmentKey: localSigner(newSigningKey()).publicKey,
          notAfter: soon() + 60,
        }),
        caller,
      ),
  },
  getTenant: {},
  listDomains: {},
  addDomain: { domain: ({ domain }) => domain },
  verifyDomain: { domain: ({ domain }) => domain },
  listPeople: { cursor: LEFT_OUT, limit: nothing(500) },
  invitePerson: {
    grant: ({ address }, caller) =>
      signed(
        'astis/enrolment-grant',
        encodeGrant({
          tenantId: caller.identity.tenant.tenantId,
          address,
          enrolmentKey: localSigner(newSigningKey()).publicKey,
          kind: 'service',
          role: 'member',
          hardwareBacked: false,
          notAfter: soon() + 60,
        }),
        caller,
      ),
    groups: nothing([]),
  },
  getPerson: { id: ({ personId }) => personId },
  updatePerson: { id: ({ personId }) => personId, groups: nothing([]) },
  removePerson: {
    id: ({ personId }) => personId,
    revocation: ({ tenantId, address, serial }, caller) =>
      signed('astis/key-revocation', encodeRevocation({ tenantId, address, serial, at: soon() }), caller),
  },
  lookUpKeys: { addresses: ADDRESSES },
  makeHoldingKey: { order: order('holding-key', ({ address }) => address) },
  getChallenge: {
    tenantId: ({ tenantId }) => tenantId,
    enrolmentKeyId: ({ enrolmentKeyId }) => enrolmentKeyId,
    kem: nothing('X25519'),
    kemKey: nothing(toBase64Url(randomBytes(32))),
  },
  enrol: {
    tenantId: ({ tenantId }) => tenantId,
    async enrolment({ tenantId, address }) {
      const pair = await newKemKeyPair('X25519');
      const [newcomer, enrolment] = [localSigner(newSigningKey()), localSigner(newSigningKey())];
      const registration = {
        tenantId,
        address,
        signingKey: newcomer.publicKey,
        kem: pair.kem,
        kemKey: pair.publicKey,
        challengeAnswer: new Uint8Array(32),
        at: soon(),
      };
      return toBase64Url(await signEnrolment(registration, newcomer, enrolment));
    },
  },
  createCapsules: {
    async items({ artifactId, address, keyId }, { identity }) {
      const statement = {
        artifactId,
        headerHash: randomBytes(32),
        commitment: randomBytes(32),
        tenantId: identity.tenant.tenantId,
        sealer: identity.address,
        sealedAt: soon(),
        notAfter: soon() + 600,
        recipients: [{ address, keyId }],
        labels: [],
      } as never;
      const wrap = toBase64Url(randomBytes(64));
      return [
        {
          statement: toBase64Url(await signStatement(statement, identity.signer)),
          wraps: [{ address, wrap }],
        },
      ];
    },
  },
  listArtifacts: { cursor: LEFT_OUT, limit: nothing(500) },
  getArtifact: { artifactId: ARTIFACT },
  revokeCapsules: { artifactId: ARTIFACT, addresses: ADDRESSES, reason: nothing('test') },
  setTtl: { artifactId: ARTIFACT, addresses: ADDRESSES, expiresAt: EXPIRES, statement: LEFT_OUT },
  release: { artifactId: ARTIFACT },
  releaseBatch: { artifactIds: ({ artifactId }) => [artifactId] },
  recover: { order: order('recover', ({ artifactId }) => artifactId) },
  listApprovals: { cursor: LEFT_OUT, limit: nothing(500), status: LEFT_OUT },
  decideApproval: { id: ({ approvalId }) => approvalId, decision: nothing('approve') },
  getPolicy: {},
  setPolicy: { document: nothing({}), expectedVersion: nothing(1) },
  listPolicies: { cursor: LEFT_OUT, limit: nothing(500) },
  dryRunPolicy: { artifactId: ARTIFACT, document: LEFT_OUT, at: LEFT_OUT, ip: LEFT_OUT },
  listAuditEntries: {
    cursor: LEFT_OUT,
    limit: nothing(500),
    kind: LEFT_OUT,
    actor: ({ address }) => address,
    subject: ARTIFACT,
  },
  exportAudit: {},
  getCheckpoint: {},
  getInclusionProof: { seq: nothing(0), size: nothing(1) },
  getConsistencyProof: { from: nothing(1), to: nothing(2) },
  getTile: { '*': nothing('0/000.p/1') },
  rotateOrganisationKey: {
    order: ({ tenantId }, caller) =>
      signed(
        'astis/custody-order',
        encodeCustodyOrder({
          tenantId,
          action: 'rotate-organisation-key',
          subject: '',
          nonce: randomBytes(16),
          at: soon(),
        }),
        caller,
      ),
  },
  listRotations: { cursor: LEFT_OUT, limit: nothing(500) },
  getRotation: { id: ({ rotationId }) => rotationId },
};

let scene: Scene;
let one: Organisation;
let two: Organisation;
let member: Member;
let foreign: Facts;
let operations: readonly { readonly method: Method; readonly path: string; readonly operation: Operation }[];
/** All that is B's and must not stand in an answer to A. */
let foreignMarks: readonly string[];

const unknown = (): Facts => ({
  tenantId: parseTenantId(crypto.randomUUID()),
  domain: 'nobody.test',
  address: parseAddress('nobody@nobody.test'),
  serial: 2,
  personId: parsePersonId(crypto.randomUUID()),
  artifactId: toBase64Url(randomBytes(16)) as ArtifactId,
  approvalId: crypto.randomUUID(),
  rotationId: crypto.randomUUID(),
  keyId: toBase64Url(randomBytes(32)) as KeyId,
  enrolmentKeyId: toBase64Url(randomBytes(32)) as KeyId,
});

/** An organisation with one of everything that has an id. */
async function furnish(organisation: Organisation, domain: string): Promise<Facts> {
  const { admin } = organisation;
  const to = parseAddress(`pat@${domain}`);
  const pat = await organisation.add(to);
  const { document, version } = await admin.client.get('/v1/policy', Policy);
  const policy = document as { readonly cedar: string };
  const cedar = `${policy.cedar}\n@id("two")\n@reason("Two persons.")\nforbid (principal, action == Action::"release", resource) unless { context.approved };\n`;
  const body = { document: { ...policy, recovery: true, cedar }, expectedVersion: version };
  await admin.client.write('PUT', '/v1/policy', body, PolicyChanged);
  const { artifactId } = await seal(admin, [to], 'text');
  expect(await refusal(requestRelease(pat.client, artifactId))).toBe('approval_required');
  const approvals = await admin.client.get('/v1/approvals', Page(Approval));
  const rotation = await admin.client.write(
    'POST',
    '/v1/organisation/rotations',
    { order: await custodyOrder(admin.client, 'rotate-organisation-key', '') },
    Rotation,
  );
  const code = parseEnrolmentCode(await organisation.invite(`guest@${domain}`));
  const person = await admin.client.get(`/v1/people/${pat.identity.personId}`, Person);
  return {
    tenantId: admin.identity.tenant.tenantId,
    domain,
    address: to,
    serial: person.serial ?? 0,
    personId: pat.identity.personId,
    artifactId,
    approvalId: approvals.items[0]?.id ?? '',
    rotationId: rotation.id,
    keyId: pat.identity.unwrapper.keyId,
    enrolmentKeyId: enrolmentSigner(code.secret).keyId,
  };
}

let own: Facts;

beforeAll(async () => {
  scene = await startScene();
  [one, two] = await Promise.all([
    newOrganisation(scene.stack, 'one.test'),
    newOrganisation(scene.stack, 'two.test'),
  ]);
  own = await furnish(one, 'one.test');
  foreign = await furnish(two, 'two.test');
  member = await one.add('member@one.test');
  const { serial: _count, ...texts } = foreign;
  foreignMarks = [...Object.values(texts), 'two.test', two.admin.identity.personId];
  const answer = await one.transport({ method: 'GET', url: `${scene.stack.url}/openapi.json`, headers: {} });
  const { paths }: { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> } =
    JSON.parse(await answer.text());
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase() as Method,
      path,
      operation,
    })),
  );
});

afterAll(() => scene?.stop());

const bodyOf = (operation: Operation): readonly [type: string, names: readonly string[]] | undefined => {
  const [content] = Object.entries(operation.requestBody?.content ?? {});
  return content === undefined ? undefined : [content[0], Object.keys(content[1].schema.properties ?? {})];
};

const namesOf = (operation: Operation): readonly string[] => [
  ...(operation.parameters ?? []).map(({ name }) => name),
  ...(bodyOf(operation)?.[1] ?? []),
];

interface Seen {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: string;
}

/** One token a caller: whoever asks for one with every request is soon told to wait, as a stranger should be. */
const tokens = new Map<Member, { readonly token: Token; readonly at: number }>();

/** Its nonce is good for two minutes. */
const TOKEN_MS = 60_000;

async function tokenOf(caller: Member): Promise<Token> {
  const known = tokens.get(caller);
  if (known !== undefined && Date.now() - known.at < TOKEN_MS) return known.token;
  const token = await getToken(caller, one.transport);
  tokens.set(caller, { token, at: Date.now() });
  return token;
}

/** Sends an operation's request with the facts that `choose` has for each name. */
async function ask(
  caller: Member,
  { method, path, operation }: (typeof operations)[number],
  choose: (name: string) => Facts,
): Promise<Seen> {
  const parts = NAMES[operation.operationId] ?? {};
  const values = new Map<string, unknown>();
  for (const name of namesOf(operation)) {
    const part = parts[name];
    if (part === undefined) throw new Error(`${operation.operationId}: what is ${name}?`);
    const value = typeof part === 'function' ? await part(choose(name), caller) : part.plain;
    if (value !== undefined) values.set(name, value);
  }
  let target = path;
  const query = new URLSearchParams();
  for (const { name, in: place } of operation.parameters ?? []) {
    const value = values.get(name);
    if (value === undefined) continue;
    if (place === 'path') target = target.replace(`{${name}}`, String(value));
    else query.set(name, String(value));
  }
  if (query.size > 0) target += `?${query}`;
  const content = bodyOf(operation);
  const members = content?.[1].flatMap((name) =>
    values.has(name) ? [[name, values.get(name)] as const] : [],
  );
  const form = content?.[0] === 'application/x-www-form-urlencoded';
  const wanted = {
    method,
    path: target,
    ...(members === undefined ? {} : { body: Object.fromEntries(members) }),
  };
  const request = await craft(caller, await tokenOf(caller), wanted);
  const answer = await one.transport(
    form && members !== undefined
      ? {
          ...request,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams(
            members.map(([name, value]): [string, string] => [name, String(value)]),
          ).toString(),
        }
      : request,
  );
  return { status: answer.status, type: answer.header('content-type'), body: await answer.text() };
}

/** What is left of an answer without what the request said, and without what is random or counted in every answer. */
function shape({ status, type, body }: Seen, facts: Facts): unknown {
  const { serial: _count, ...texts } = facts;
  let text = body;
  for (const value of Object.values(texts).sort((a, b) => b.length - a.length))
    text = text.replaceAll(value, '<named>');
  text = text
    .replace(/,?"instance":"[^"]*"/, '')
    .replace(/n[0-9a-f]{12}@one\.test/g, '<newcomer>')
    .replace(/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g, '<uuid>')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/(?<=[":=])[A-Za-z0-9_-]{22,}(?=[".])/g, '<bytes>')
    .replace(/(?<!"status"):\d+/g, ':<number>');
  return { status, type, text };
}

test('every route and every name of the OpenAPI document is known here', () => {
  expect(operations.length).toBeGreaterThan(30);
  const missing = operations.flatMap(({ operation }) => {
    const parts = NAMES[operation.operationId];
    if (parts === undefined) return [operation.operationId];
    return namesOf(operation).flatMap((name) => (name in parts ? [] : [`${operation.operationId}: ${name}`]));
  });
  expect(missing).toEqual([]);
});

describe("tenant B's ids, asked for by tenant A", () => {
  for (const who of ['an admin', 'a member'] as const) {
    test(`are to ${who} as ids that do not exist`, async () => {
      const caller = who === 'an admin' ? one.admin : member;
      let compared = 0;
      const notFound: string[] = [];
      for (const each of operations) {
        const { operation } = each;
        const parts = NAMES[operation.operationId] ?? {};
        const naming = namesOf(operation).filter((name) => typeof parts[name] === 'function');
        // Each name by itself beside our own, and all of them at once; but where no token is asked for, all of B's
        // names together are what a newcomer of B's shows who was invited.
        const open = operation.security?.length === 0;
        const choices =
          naming.length > 1 && open
            ? naming.map((name) => [name])
            : naming.length > 1
              ? [...naming.map((name) => [name]), naming]
              : [naming];
        for (const varied of choices) {
          if (varied.length === 0) continue;
          const made = unknown();
          // What we own is as new to the second request as to the first.
          const pick = (facts: Facts) => async () => {
            const ours = naming.length > varied.length ? { ...own, personId: await newcomer() } : own;
            return ask(caller, each, (name) => (varied.includes(name) ? facts : ours));
          };
          const [theirs, nobodys] = [await pick(foreign)(), await pick(made)()];
          const what = `${operation.operationId} ${varied.join(' ')}`;
          expect([what, shape(theirs, foreign)]).toEqual([what, shape(nobodys, made)]);
          // A request that never got as far as looking the id up would show nothing.
          expect([what, nobodys.status, codeOf(nobodys)]).not.toEqual([what, 400, 'invalid_request']);
          expect(nobodys.status).toBeLessThan(500);
          if (codeOf(nobodys) === 'not_found') notFound.push(operation.operationId);
          compared++;
        }
      }
      expect(compared).toBeGreaterThan(25);
      const looked = ['getPerson', 'getArtifact', 'revokeCapsules', 'setTtl', 'release', 'decideApproval'];
      if (who === 'an admin')
        looked.push('updatePerson', 'removePerson', 'recover', 'dryRunPolicy', 'getRotation');
      expect(looked.filter((id) => !notFound.includes(id))).toEqual([]);
    });
  }

  test('stand in no answer to what A asks for without naming them', async () => {
    // Everything above was asked for before: not even the log of A's own refusals has learnt what B has.
    for (const each of operations) {
      if (each.method !== 'GET') continue;
      const { body, status } = await ask(one.admin, each, () => own);
      if (each.operation.operationId !== 'getTile')
        expect([each.operation.operationId, status]).toEqual([each.operation.operationId, 200]);
      const named = new Set<string>(['two.test', foreign.address, foreign.artifactId]);
      const leaked = foreignMarks.filter((mark) => !named.has(mark) && body.includes(mark));
      expect([each.operation.operationId, leaked]).toEqual([each.operation.operationId, []]);
    }
  });
});

const codeOf = ({ body, status }: Seen): string => {
  if (status < 400) return '';
  const problem: { readonly code?: string } = JSON.parse(body);
  return problem.code ?? '';
};

/** Somebody of ours who is invited and may be removed. */
async function newcomer(): Promise<PersonId> {
  const address = `n${randomBytes(6).toString('hex')}@one.test`;
  await one.invite(address);
  const { items } = await one.admin.client.get('/v1/people', Page(Person), { limit: 500 });
  return parsePersonId(items.find((person) => person.address === address)?.id ?? '');
}
