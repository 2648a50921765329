/** People: invite, list, group, remove; the directory of certificates; holding keys for who has none. */
import { verifyObject } from '@astis/crypto';
import type { EnrolmentGrant } from '@astis/protocol';
import {
  CustodyOrderBody,
  DirectoryAnswer,
  DirectoryQuery,
  decodeCertificate,
  decodeCustodyOrder,
  decodeGrant,
  decodeSign1,
  domainOf,
  fromBase64Url,
  HoldingKey,
  kemKeyId,
  Page,
  PageQuery,
  Person,
  PersonCreate,
  PersonRemove,
  PersonUpdate,
  ProblemError,
  parseAddress,
  parsePersonId,
  signingKeyId,
  toBase64Url,
} from '@astis/protocol';
import { people, requests, tenants } from '@astis/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../http/authentication.ts';
import { callerOf } from '../http/authentication.ts';
import { decodeBytes } from '../http/decoding.ts';
import { pageOf } from '../http/page.ts';
import { refusals } from '../http/problems.ts';
import { authorise } from '../policies/authorise.ts';
import { shown } from './shown.ts';

const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });

async function invite(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  grantBytes: Uint8Array,
  groups: readonly string[],
): Promise<Person> {
  return gateway.store.log.append(caller.tenantId, async (tx) => {
    const { tenantId } = caller;
    const { signingKey } = await people.getPerson(tx, tenantId, caller.personId);
    if (signingKey === undefined)
      throw new ProblemError('key_revoked', 'Your key is not registered any more.');
    let grant: EnrolmentGrant;
    try {
      grant = decodeGrant(verifyObject(grantBytes, 'astis/enrolment-grant', signingKey));
    } catch {
      throw new ProblemError('grant_invalid', 'The grant is not signed by your registered key.');
    }
    const now = await requests.databaseNow(tx);
    if (grant.tenantId !== tenantId)
      throw new ProblemError('grant_invalid', 'The grant is for another organisation.');
    if (grant.notAfter * 1000 <= now) throw new ProblemError('grant_invalid', 'The grant has lapsed.');
    const outsider = !(await tenants.isProvedDomain(tx, tenantId, domainOf(grant.address)));
    if (outsider && (grant.kind === 'service' || grant.role === 'admin')) {
      throw new ProblemError('address_not_yours', `Prove the domain ${domainOf(grant.address)} first.`);
    }
    const subject = {
      address: grant.address,
      admin: grant.role === 'admin',
      outsider,
      service: grant.kind === 'service',
      hardwareBacked: grant.hardwareBacked,
      groups,
    };
    await authorise(tx, gateway, caller, ip, { action: 'invite', person: subject });
    const person = await people.invite(tx, tenantId, {
      id: parsePersonId(crypto.randomUUID()),
      address: grant.address,
      kind: grant.kind,
      role: grant.role,
      groups,
      hardwareBacked: grant.hardwareBacked,
      outsider,
      enrolmentKeyId: signingKeyId(grant.enrolmentKey),
      notAfter: new Date(grant.notAfter * 1000),
      grant: grantBytes,
    });
    const data = { role: grant.role, kind: grant.kind, outsider, groups: [...groups] };
    const events = [{ kind: 'person.invited', actor: caller.address, subject: grant.address, data }];
    return { events, finish: () => shown(person) };
  });
}

async function remove(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  id: string,
  revocation?: string,
): Promise<Person> {
  const { store, custody } = gateway;
  const { tenantId } = caller;
  const person = await store.transaction(tenantId, async (tx) => {
    const found = await people.getPerson(tx, tenantId, parsePersonId(id));
    await authorise(tx, gateway, caller, ip, { action: 'managePeople' });
    return found;
  });
  if (person.status === 'active' && revocation === undefined) {
    throw new ProblemError('invalid_request', "Send a signed revocation of the person's certificate too.");
  }
  // Releases end first; the CVS is told by the signed revocation, which it checks by itself.
  const removed = await store.log.append(tenantId, async (tx) => {
    const result = await people.remove(tx, tenantId, person);
    const data = person.serial === undefined ? {} : { serial: person.serial };
    return {
      events: [{ kind: 'person.removed', actor: caller.address, subject: person.address, data }],
      finish: () => shown(result),
    };
  });
  if (person.status === 'active' && revocation !== undefined) {
    await custody.call('key.revoke', { tenantId, revocation });
  }
  return removed;
}

async function holdingKey(gateway: Gateway, caller: Caller, orderText: string): Promise<string> {
  const { store, custody } = gateway;
  const { tenantId } = caller;
  const orderBytes = decodeBytes(orderText, 'order');
  const order = decodeCustodyOrder(decodeSign1(orderBytes, 'astis/custody-order').payload);
  const address = parseAddress(order.subject);
  const live = await store.transaction(tenantId, (tx) => people.liveCertificates(tx, tenantId, [address]));
  const known = live[0];
  if (known !== undefined) {
    if (known.kind === 'holding') return toBase64Url(known.certificate);
    throw new ProblemError('already_exists', `${address} has a key of its own; seal to that.`);
  }
  const { certificate: text } = await custody.call('holding.create', { tenantId, order: orderText });
  const certificate = fromBase64Url(text);
  const decoded = decodeCertificate(decodeSign1(certificate, 'astis/key-certificate').payload);
  if (decoded.kind !== 'holding' || decoded.address !== address || decoded.tenantId !== tenantId) {
    throw new ProblemError('custody_unavailable', 'The key custody service answered with another key.');
  }
  const keyId = kemKeyId(decoded.kem, decoded.kemKey);
  return store.log.append(tenantId, async (tx) => {
    await people.addCertificate(tx, tenantId, {
      serial: decoded.serial,
      address,
      kind: 'holding',
      kemKeyId: keyId,
      certificate,
    });
    const data = { serial: decoded.serial, keyId };
    return {
      events: [{ kind: 'holding.created', actor: caller.address, subject: address, data }],
      finish: () => text,
    };
  });
}

export function peopleRoutes(app: App, gateway: Gateway): void {
  const { store } = gateway;

  app.get(
    '/v1/people',
    {
      schema: {
        operationId: 'listPeople',
        summary: 'People and service clients',
        tags: ['people'],
        querystring: PageQuery,
        response: { 200: Page(Person), ...refusals },
      },
    },
    async (request) => {
      const { tenantId } = callerOf(request);
      const { cursor } = request.query;
      if (cursor !== undefined) parsePersonId(cursor);
      const page = await store.transaction(tenantId, (tx) =>
        people.listPeople(tx, tenantId, pageOf(request.query)),
      );
      return { ...page, items: page.items.map(shown) };
    },
  );

  app.post(
    '/v1/people',
    {
      schema: {
        operationId: 'invitePerson',
        summary: 'Invite an address by a signed grant',
        tags: ['people'],
        body: PersonCreate,
        response: { 201: Person, ...refusals },
      },
    },
    async (request, reply) => {
      const grant = decodeBytes(request.body.grant, 'grant');
      const person = await invite(gateway, callerOf(request), request.ip, grant, request.body.groups ?? []);
      return reply.code(201).send(person);
    },
  );

  app.get(
    '/v1/people/:id',
    {
      schema: {
        operationId: 'getPerson',
        summary: 'One person',
        tags: ['people'],
        params: ById,
        response: { 200: Person, ...refusals },
      },
    },
    async (request) => {
      const { tenantId } = callerOf(request);
      return store.transaction(tenantId, async (tx) =>
        shown(await people.getPerson(tx, tenantId, parsePersonId(request.params.id))),
      );
    },
  );

  app.patch(
    '/v1/people/:id',
    {
      schema: {
        operationId: 'updatePerson',
        summary: 'Set the groups of a person',
        tags: ['people'],
        params: ById,
        body: PersonUpdate,
        response: { 200: Person, ...refusals },
      },
    },
    async (request) => {
      const caller = callerOf(request);
      const { tenantId } = caller;
      return store.log.append(tenantId, async (tx) => {
        const before = await people.getPerson(tx, tenantId, parsePersonId(request.params.id));
        await authorise(tx, gateway, caller, request.ip, { action: 'managePeople' });
        const person = await people.setGroups(tx, tenantId, before.id, request.body.groups);
        const data = { groups: { before: [...before.groups], after: [...person.groups] } };
        const events = [{ kind: 'person.updated', actor: caller.address, subject: person.address, data }];
        return { events, finish: () => shown(person) };
      });
    },
  );

  app.post(
    '/v1/people/:id/remove',
    {
      schema: {
        operationId: 'removePerson',
        summary: 'Remove a person: nothing is released to the key from now on',
        tags: ['people'],
        params: ById,
        body: PersonRemove,
        response: { 200: Person, ...refusals },
      },
    },
    (request) => remove(gateway, callerOf(request), request.ip, request.params.id, request.body.revocation),
  );

  app.post(
    '/v1/directory/lookup',
    {
      schema: {
        operationId: 'lookUpKeys',
        summary: 'Certificates of addresses, signed by the organisation',
        tags: ['people'],
        body: DirectoryQuery,
        response: { 200: DirectoryAnswer, ...refusals },
      },
    },
    async (request) => {
      const { tenantId } = callerOf(request);
      const addresses = request.body.addresses.map(parseAddress);
      const found = await store.transaction(tenantId, (tx) =>
        people.liveCertificates(tx, tenantId, addresses),
      );
      const known = new Set(found.map(({ address }) => address));
      return {
        certificates: found.map(({ certificate }) => toBase64Url(certificate)),
        missing: addresses.filter((address) => !known.has(address)),
      };
    },
  );

  app.post(
    '/v1/holding-keys',
    {
      schema: {
        operationId: 'makeHoldingKey',
        summary: 'A key that stands in for an address which has none yet',
        tags: ['people'],
        body: CustodyOrderBody,
        response: { 200: HoldingKey, ...refusals },
      },
    },
    async (request) => ({ certificate: await holdingKey(gateway, callerOf(request), request.body.order) }),
  );
}
