/** The organisation, and the domains whose addresses are its own. */
import { createHash } from 'node:crypto';
import { Resolver } from 'node:dns/promises';
import { logOrigin } from '@astis/audit';
import { verifyObject } from '@astis/crypto';
import { defaultPolicyDocument } from '@astis/policy';
import type { TenantId, TenantOrder } from '@astis/protocol';
import {
  Domain,
  DomainCreate,
  decodeCertificate,
  decodeSign1,
  decodeTenantOrder,
  fromBase64Url,
  kemKeyId,
  Page,
  ProblemError,
  parsePersonId,
  signingKeyId,
  Tenant,
  TenantCreate,
} from '@astis/protocol';
import type { Event, Tx } from '@astis/store';
import { people, policies, tenants } from '@astis/store';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import { callerOf } from '../http/authentication.ts';
import { decodeBytes } from '../http/decoding.ts';
import { refusals } from '../http/problems.ts';
import { authorise } from '../policies/authorise.ts';

const DOMAIN = /^(?=.{3,253}$)([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export function parseDomain(text: string): string {
  const domain = text.trim().toLowerCase();
  if (!DOMAIN.test(domain)) throw new ProblemError('invalid_request', 'A domain looks like example.org.');
  return domain;
}

/** The tenant as its people see it. */
export async function describeTenant(tx: Tx, gateway: Gateway, tenantId: TenantId): Promise<Tenant> {
  const tenant = await tenants.getTenant(tx, tenantId);
  const { document } = await policies.currentPolicy(tx, tenantId);
  return {
    id: tenantId,
    name: tenant.name,
    identityKey: Buffer.from(tenant.identityKey).toString('base64url'),
    checkpointKey: tenant.checkpointKey,
    receiptKey: gateway.keys.receiptVerifier,
    logOrigin: tenant.logOrigin,
    recovery: document.recovery,
  };
}

async function createTenant(gateway: Gateway, orderBytes: Uint8Array, orderText: string): Promise<Tenant> {
  let order: TenantOrder;
  try {
    order = decodeTenantOrder(verifyObject(orderBytes, 'astis/tenant-order', gateway.operatorKey));
  } catch {
    throw new ProblemError('order_invalid', "The order is not signed by this platform's operator.");
  }
  const { tenantId } = order;
  const domain = parseDomain(order.domain);
  const keys = await gateway.custody.call('tenant.create', { order: orderText });
  const { store } = gateway;
  await store.transaction(tenantId, (tx) =>
    tenants.createTenant(
      tx,
      {
        tenantId,
        name: order.name,
        identityKey: fromBase64Url(keys.identityKey),
        checkpointKey: keys.checkpointKey,
        logOrigin: logOrigin(gateway.logOrigin, tenantId),
      },
      domain,
      new Uint8Array(createHash('sha256').update(orderBytes).digest()),
    ),
  );
  return store.log.append(tenantId, async (tx) => {
    const events: Event[] = [];
    // The same order again after a crash in between goes on from here.
    if ((await policies.listPolicies(tx, tenantId, { limit: 1 })).items.length === 0) {
      await policies.addPolicy(tx, tenantId, 0, defaultPolicyDocument, 'operator');
      const certificate = fromBase64Url(keys.organisationCertificate);
      const decoded = decodeCertificate(decodeSign1(certificate, 'astis/key-certificate').payload);
      await people.addCertificate(tx, tenantId, {
        serial: decoded.serial,
        address: decoded.address,
        kind: decoded.kind,
        kemKeyId: kemKeyId(decoded.kem, decoded.kemKey),
        certificate,
      });
      await people.invite(tx, tenantId, {
        id: parsePersonId(crypto.randomUUID()),
        address: order.admin,
        kind: 'person',
        role: 'admin',
        groups: [],
        hardwareBacked: false,
        outsider: false,
        enrolmentKeyId: signingKeyId(order.enrolmentKey),
        notAfter: new Date(order.notAfter * 1000),
        grant: undefined,
      });
      events.push({
        kind: 'tenant.created',
        actor: 'operator',
        subject: order.admin,
        data: { name: order.name, domain, identityKey: keys.identityKey },
      });
    }
    const tenant = await describeTenant(tx, gateway, tenantId);
    return { events, finish: () => tenant };
  });
}

const shown = (record: Awaited<ReturnType<typeof tenants.getDomain>>): Domain => ({
  domain: record.domain,
  verified: record.verified,
  txtName: `_astis-challenge.${record.domain}`,
  txtValue: `astis-domain=${record.challenge}`,
});

async function hasProof({ txtName, txtValue }: Domain, server: string | undefined): Promise<boolean> {
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  if (server !== undefined) resolver.setServers([server]);
  try {
    const records = await resolver.resolveTxt(txtName);
    return records.some((chunks) => chunks.join('') === txtValue);
  } catch {
    return false;
  }
}

export function tenantRoutes(app: App, gateway: Gateway): void {
  const { store } = gateway;

  app.post(
    '/v1/tenants',
    {
      config: { authentication: 'none' },
      schema: {
        operationId: 'createTenant',
        summary: "Make an organisation by the operator's signed order",
        tags: ['tenants'],
        security: [],
        body: TenantCreate,
        response: { 201: Tenant, ...refusals },
      },
    },
    async (request, reply) => {
      const tenant = await createTenant(
        gateway,
        decodeBytes(request.body.order, 'order'),
        request.body.order,
      );
      return reply.code(201).send(tenant);
    },
  );

  app.get(
    '/v1/tenant',
    {
      schema: {
        operationId: 'getTenant',
        summary: 'The own organisation, with the keys to pin',
        tags: ['tenants'],
        response: { 200: Tenant, ...refusals },
      },
    },
    (request) => {
      const { tenantId } = callerOf(request);
      return store.transaction(tenantId, (tx) => describeTenant(tx, gateway, tenantId));
    },
  );

  app.get(
    '/v1/domains',
    {
      schema: {
        operationId: 'listDomains',
        summary: 'Domains and whether they are proved',
        tags: ['tenants'],
        response: { 200: Page(Domain), ...refusals },
      },
    },
    async (request) => {
      const { tenantId } = callerOf(request);
      const domains = await store.transaction(tenantId, (tx) => tenants.listDomains(tx, tenantId));
      return { items: domains.map(shown) };
    },
  );

  app.post(
    '/v1/domains',
    {
      schema: {
        operationId: 'addDomain',
        summary: 'Add a domain that is still to be proved by a DNS record',
        tags: ['tenants'],
        body: DomainCreate,
        response: { 201: Domain, ...refusals },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const domain = parseDomain(request.body.domain);
      const added = await store.log.append(caller.tenantId, async (tx) => {
        await authorise(tx, gateway, caller, request.ip, { action: 'managePeople' });
        const record = await tenants.addDomain(tx, caller.tenantId, domain);
        const events = [{ kind: 'domain.claimed', actor: caller.address, subject: domain }];
        return { events, finish: () => shown(record) };
      });
      return reply.code(201).send(added);
    },
  );

  app.post(
    '/v1/domains/:domain/verify',
    {
      schema: {
        operationId: 'verifyDomain',
        summary: 'Look the DNS record up and make the domain the own one',
        tags: ['tenants'],
        params: Type.Object({ domain: Type.String({ maxLength: 253 }) }),
        response: { 200: Domain, ...refusals },
      },
    },
    async (request) => {
      const caller = callerOf(request);
      const { domain } = request.params;
      const wanted = await store.transaction(caller.tenantId, async (tx) => {
        const record = await tenants.getDomain(tx, caller.tenantId, domain);
        await authorise(tx, gateway, caller, request.ip, { action: 'managePeople' });
        return shown(record);
      });
      if (!wanted.verified && !(await hasProof(wanted, gateway.dnsServer))) {
        throw new ProblemError(
          'domain_unproven',
          `There is no TXT record ${wanted.txtName} with the value ${wanted.txtValue}.`,
        );
      }
      return store.log.append(caller.tenantId, async (tx) => {
        await tenants.claimDomain(tx, caller.tenantId, domain);
        const events = wanted.verified
          ? []
          : [{ kind: 'domain.verified', actor: caller.address, subject: domain }];
        return { events, finish: () => ({ ...wanted, verified: true }) };
      });
    },
  );
}
