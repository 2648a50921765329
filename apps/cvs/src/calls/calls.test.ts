import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:tls';
import { encodeRecord, leafHash, ZERO_HASH } from '@astis/audit';
import { localSigner, newSigningKey } from '@astis/crypto';
import type { ServiceKey } from '@astis/crypto/service-message';
import {
  generateServiceKey,
  MAX_MESSAGE_BYTES,
  openRequest,
  openResponse,
  readServiceKey,
  sealRequest,
  sealResponse,
} from '@astis/crypto/service-message';
import { CUSTODY_METHODS, equalBytes, toBase64Url } from '@astis/protocol';
import { Database } from '@astis/store';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Caller, Deployment } from '../deployment.fixture.ts';
import { newDeployment } from '../deployment.fixture.ts';
import type { Organisation } from '../organisation.fixture.ts';
import { newOrganisation, newTenantOrder } from '../organisation.fixture.ts';
import { newCa } from '../tls.fixture.ts';
import { PLATFORM } from './platform.ts';

describe('calls', () => {
  let deployment: Deployment;
  let org: Organisation;

  beforeAll(async () => {
    deployment = await newDeployment();
    await deployment.start();
    org = await newOrganisation(deployment);
  });
  afterAll(() => deployment.end());

  const between = () => ({ self: deployment.gateway, peer: deployment.cvs });
  const keysRequest = () =>
    sealRequest({ method: 'tenant.keys', params: { tenantId: org.tenantId } }, between());
  const codeOf = (body: Uint8Array): string => JSON.parse(Buffer.from(body).toString('utf8')).code;

  describe('TLS', () => {
    const attempt = async (caller: Caller): Promise<string> => {
      const { message } = await keysRequest();
      return deployment.post(message, caller).then(
        ({ status }) => String(status),
        () => 'refused',
      );
    };

    test('takes the gateway’s certificate', async () => {
      expect(await attempt(deployment.caller)).toBe('200');
    });

    test('refuses a client without a certificate', async () => {
      expect(await attempt({ ca: deployment.serverCa.cert })).toBe('refused');
    });

    test('refuses a certificate of a foreign CA, whatever its name', async () => {
      const foreign = await newCa();
      const pair = await foreign.issue('gateway', 'client');
      expect(await attempt({ ...pair, ca: deployment.serverCa.cert })).toBe('refused');
    });

    test('refuses a certificate that our CA signed for another client, and a server’s', async () => {
      const another = await deployment.clientCa.issue('monitoring', 'client');
      expect(await attempt({ ...another, ca: deployment.serverCa.cert })).toBe('refused');
      const server = await deployment.clientCa.issue('gateway', 'server');
      expect(await attempt({ ...server, ca: deployment.serverCa.cert })).toBe('refused');
    });

    test('is not spoken below 1.3', async () => {
      const outcome = await new Promise<string>((resolve) => {
        const socket = connect({
          ...deployment.caller,
          host: '127.0.0.1',
          port: deployment.port,
          minVersion: 'TLSv1.2',
          maxVersion: 'TLSv1.2',
        });
        socket.on('secureConnect', () => resolve('connected'));
        socket.on('error', () => resolve('refused'));
      });
      expect(outcome).toBe('refused');
    });
  });

  describe('HTTP', () => {
    test('has one route, for one media type, of a limited size', async () => {
      const { message } = await keysRequest();
      expect((await deployment.post(message, deployment.caller, 'application/json')).status).toBe(415);
      expect((await deployment.post(new Uint8Array(MAX_MESSAGE_BYTES + 1))).status).toBe(413);
      const { custody } = deployment;
      for (const [method, url] of [
        ['GET', '/custody'],
        ['POST', '/'],
        ['POST', '/custody/x'],
        ['GET', '/metrics'],
        ['GET', '/healthz'],
      ] as const)
        expect((await custody.app.inject({ method, url })).statusCode).toBe(404);
    });
  });

  describe('a message that doesn’t open is refused by code, and logged', () => {
    const refused = async (message: Uint8Array): Promise<string> => {
      const { status, body } = await deployment.post(message);
      expect(status).toBe(400);
      const code = codeOf(body);
      const [event] = (await deployment.log(PLATFORM)).slice(-1);
      expect(event).toMatchObject({ kind: 'message', outcome: 'refused', code });
      return code;
    };
    const stranger = async (): Promise<ServiceKey> =>
      readServiceKey((await generateServiceKey('stranger')).privateKey);

    test('garbage and nothing', async () => {
      expect(await refused(randomBytes(500))).toBe('message_malformed');
      expect(await refused(new Uint8Array(0))).toBe('message_malformed');
    });

    test('of another gateway, though the TLS certificate is right', async () => {
      const { message } = await sealRequest(
        { method: 'tenant.keys', params: { tenantId: org.tenantId } },
        { self: await stranger(), peer: deployment.cvs },
      );
      expect(await refused(message)).toBe('wrong_sender');
    });

    test('for another CVS', async () => {
      const { message } = await sealRequest(
        { method: 'tenant.keys', params: { tenantId: org.tenantId } },
        { self: deployment.gateway, peer: await stranger() },
      );
      expect(await refused(message)).toBe('wrong_receiver');
    });

    test('of another time', async () => {
      const old = { ...between(), now: Date.now() - 70_000 };
      const { message } = await sealRequest(
        { method: 'tenant.keys', params: { tenantId: org.tenantId } },
        old,
      );
      expect(await refused(message)).toBe('message_stale');
    });
  });

  describe('replay', () => {
    test('the same message is carried out once', async () => {
      const sealed = await keysRequest();
      const first = await openResponse((await deployment.post(sealed.message)).body, sealed, between());
      expect(first).toHaveProperty('result');
      const second = await openResponse((await deployment.post(sealed.message)).body, sealed, between());
      expect(second).toMatchObject({ problem: { code: 'request_replayed' } });
    });

    test('also when it comes twenty times at once', async () => {
      const order = await org.custodyOrder({ action: 'holding-key', subject: 'replayed@elsewhere.test' });
      const params = { tenantId: org.tenantId, order };
      const sealed = await sealRequest({ method: 'holding.create', params }, between());
      const answers = await Promise.all(Array.from({ length: 20 }, () => deployment.post(sealed.message)));
      const outcomes = await Promise.all(answers.map(({ body }) => openResponse(body, sealed, between())));
      expect(outcomes.filter((outcome) => 'result' in outcome)).toHaveLength(1);
      const refused = outcomes.filter(
        (outcome) => 'problem' in outcome && outcome.problem.code === 'request_replayed',
      );
      expect(refused).toHaveLength(19);
    });

    test('also after a restart, and when the first was refused', async () => {
      const sealed = await sealRequest({ method: 'no.such', params: {} }, between());
      const codes: string[] = [];
      for (let i = 0; i < 2; i++) {
        const { body } = await deployment.post(sealed.message);
        const outcome = await openResponse(body, sealed, between());
        codes.push('problem' in outcome ? outcome.problem.code : 'granted');
      }
      const kept = await keysRequest();
      await deployment.post(kept.message);
      await deployment.stop();
      await deployment.start();
      const { body } = await deployment.post(kept.message);
      expect(await openResponse(body, kept, between())).toMatchObject({
        problem: { code: 'request_replayed' },
      });
      expect(codes).toEqual(['invalid_request', 'invalid_request']);
    });
  });

  describe('the gateway', () => {
    test('takes no answer that was changed on its way, or that is to another call', async () => {
      const [first, second] = [await keysRequest(), await keysRequest()];
      const { body } = await deployment.post(first.message);
      const other = await deployment.post(second.message);
      await expect(openResponse(other.body, first, between())).rejects.toMatchObject({
        code: 'wrong_request',
      });
      const changed = Uint8Array.from(body);
      changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1;
      await expect(openResponse(changed, first, between())).rejects.toMatchObject({
        code: 'message_malformed',
      });
      expect(await openResponse(body, first, between())).toHaveProperty('result');
    });

    test('takes no answer that it made itself', async () => {
      const request = await keysRequest();
      const opened = await openRequest(request.message, { self: deployment.cvs, peer: deployment.gateway });
      const own = await sealResponse({ result: {} }, opened, {
        self: deployment.gateway,
        peer: deployment.gateway,
      });
      await expect(openResponse(own, request, between())).rejects.toMatchObject({ code: 'wrong_sender' });
    });
  });

  describe('parameters', () => {
    test('of unknown methods, with members that are missing, too many or of other kinds are refused', async () => {
      const bad: [string, object][] = [
        ['no.such', {}],
        ['constructor', {}],
        ['__proto__', {}],
        ['tenant.keys', {}],
        ['tenant.keys', { tenantId: 7 }],
        ['tenant.keys', { tenantId: org.tenantId, more: 1 }],
        ['tenant.keys', []],
        ['checkpoint.sign', { tenantId: org.tenantId, size: '1', root: '', oldSize: 0, proof: [] }],
        ['rewrap', { tenantId: org.tenantId, targetKeyId: 'x', capsules: [{}] }],
        ['recover', { tenantId: org.tenantId, order: '', capsule: null }],
        ['enrolment.certify', { tenantId: org.tenantId, grant: null, enrolment: '' }],
      ];
      for (const [method, params] of bad)
        expect(await deployment.outcome(method, params)).toMatchObject({
          problem: { code: 'invalid_request' },
        });
    });

    test('whatever they are, the answer is a problem with a stable code, never a fault', async () => {
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map(toBase64Url),
        fc.constantFrom(
          '',
          'AAAA',
          'not base64url!',
          toBase64Url(org.order),
          toBase64Url(org.admin.certificateBytes),
        ),
      );
      const capsule = fc.record({
        ref: fc.string({ maxLength: 64 }),
        statement: bytes,
        sealerCertificate: bytes,
        wrap: bytes,
        links: fc.array(bytes, { maxLength: 3 }),
        address: fc.constantFrom('organisation', org.adminAddress, 'x', ''),
      });
      const params = fc.record(
        {
          tenantId: fc.constantFrom(org.tenantId, org.tenantId, PLATFORM, 'x', ''),
          order: bytes,
          kem: fc.constantFrom('X-Wing', 'P-256', 'toString'),
          kemKey: bytes,
          grant: bytes,
          enrolment: bytes,
          address: fc.constantFrom('organisation', org.adminAddress, 'x'),
          revocation: bytes,
          targetKeyId: fc.constantFrom(org.admin.kem.keyId, 'x'),
          keyId: fc.constantFrom(org.admin.kem.keyId, 'x'),
          capsules: fc.array(capsule, { maxLength: 4 }),
          capsule,
          size: fc.integer(),
          root: bytes,
          oldSize: fc.integer(),
          proof: fc.array(bytes, { maxLength: 3 }),
        },
        { requiredKeys: [] },
      );
      // What carries no signature and may be asked by any gateway, and the genuine order, which is repeated.
      const open = [
        'tenant.keys',
        'tenant.create',
        'checkpoint.last',
        'checkpoint.sign',
        'enrolment.challenge',
        'holding.destroy',
      ];
      const faults = () => deployment.logged.filter((line) => line.includes('"fault"'));
      const before = faults().length;
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...Object.keys(CUSTODY_METHODS)), params, async (method, given) => {
          // Only the members that the method has, so that the schema lets them through to the checks behind it.
          const wanted = Object.entries(CUSTODY_METHODS).find(([name]) => name === method)?.[1].params;
          const names = Object.keys(wanted?.properties ?? {});
          const some = Object.fromEntries(Object.entries(given).filter(([name]) => names.includes(name)));
          const outcome = await deployment.outcome(method, some);
          if ('problem' in outcome) expect(outcome.problem.code).not.toBe('internal');
          else if (method === 'rewrap') expect(JSON.stringify(outcome.result)).not.toContain('"link"');
          else expect(open).toContain(method);
        }),
        { numRuns: 400 },
      );
      expect(faults().slice(before)).toEqual([]);
    });
  });

  describe('the custody log', () => {
    test('has every call, granted or refused, under the id of its message', async () => {
      const granted = await keysRequest();
      await deployment.post(granted.message);
      const refusedRequest = await sealRequest(
        { method: 'organisation.retire', params: { tenantId: org.tenantId, keyId: org.admin.kem.keyId } },
        between(),
      );
      await deployment.post(refusedRequest.message);
      const here = { self: deployment.cvs, peer: deployment.gateway };
      const ids = [granted, refusedRequest].map(async ({ message }) => (await openRequest(message, here)).id);
      const events = (await deployment.log(org.tenantId)).slice(-2);
      expect(events).toMatchObject([
        { kind: 'tenant.keys', outcome: 'granted', request: await ids[0] },
        { kind: 'organisation.retire', outcome: 'refused', code: 'not_found', request: await ids[1] },
      ]);
    });

    test('is chained: each entry carries the hash of the one before', async () => {
      for (const tenant of [org.tenantId, PLATFORM]) {
        let prev = ZERO_HASH;
        let seq = 0;
        for await (const entry of deployment.store.entries(tenant)) {
          expect([entry.seq, equalBytes(entry.prev, prev)]).toEqual([seq++, true]);
          const { timeMs, commitment } = entry;
          prev = leafHash(encodeRecord({ tenant, seq: entry.seq, timeMs, prev: entry.prev, commitment }));
        }
        expect(seq).toBeGreaterThan(3);
      }
    });

    test('takes no entries: nothing is answered but that, and nothing was done', async () => {
      const superuser = new Database({ ...deployment.postgres.superuser, database: 'custody' }, 1);
      const address = 'unlogged@elsewhere.test';
      const order = await org.custodyOrder({ action: 'holding-key', subject: address });
      const params = { tenantId: org.tenantId, order };
      try {
        await superuser.query('revoke insert on audit_entries from astis_custody');
        expect(await deployment.refusal('holding.create', params)).toBe('audit_unavailable');
        expect(await deployment.refusal('tenant.keys', { tenantId: org.tenantId })).toBe('audit_unavailable');
        expect((await deployment.post(randomBytes(100))).status).toBe(503);
        const [row] = await superuser.query<{ n: number }>(
          `select count(*) as n from keys where address = '${address}'`,
        );
        expect(row?.n).toBe(0);
      } finally {
        await superuser.query('grant insert on audit_entries to astis_custody');
        await superuser.close();
      }
      await deployment.call('holding.create', params);
    });

    test('can not be changed by the service’s own role', async () => {
      const service = new Database(deployment.database.service, 1);
      try {
        for (const sql of [
          'update audit_entries set event = null',
          'delete from audit_entries',
          'truncate audit_entries',
          'drop table audit_entries',
          'alter table audit_entries disable row level security',
        ])
          await expect(service.query(sql)).rejects.toThrow(/permission denied|must be owner/);
      } finally {
        await service.close();
      }
    });
  });

  describe('limits', () => {
    test('one tenant’s share is its own; what was refused is counted in its log', async () => {
      const other = await newOrganisation(deployment);
      await deployment.stop();
      await deployment.start({ callsPerSecond: 1 });
      try {
        const call = (tenantId: string) => deployment.outcome('tenant.keys', { tenantId });
        const outcomes = await Promise.all(Array.from({ length: 30 }, () => call(org.tenantId)));
        const limited = outcomes.filter(
          (outcome) => 'problem' in outcome && outcome.problem.code === 'rate_limited',
        );
        expect(limited.length).toBeGreaterThanOrEqual(15);
        expect(await call(other.tenantId)).toHaveProperty('result');
        // The next call that is let through takes the number of the refused into the log with it.
        await vi.waitFor(async () => expect(await call(org.tenantId)).toHaveProperty('result'), {
          timeout: 30_000,
          interval: 200,
        });
        const events = await deployment.log(org.tenantId);
        const counted = events.filter(
          (event) => event['kind'] === 'call' && event['code'] === 'rate_limited',
        );
        const total = counted.reduce((sum, event) => sum + Number(event['count']), 0);
        expect(total).toBeGreaterThanOrEqual(limited.length);
      } finally {
        await deployment.stop();
        await deployment.start();
      }
    });
  });

  test('an order for a tenant that another operator signed makes nothing', async () => {
    const stranger = localSigner(newSigningKey());
    const { order, bytes } = await newTenantOrder(stranger, { enrolmentKey: stranger.publicKey });
    expect(await deployment.refusal('tenant.create', { order: toBase64Url(bytes) })).toBe('order_invalid');
    expect(await deployment.refusal('tenant.keys', { tenantId: order.tenantId })).toBe('not_found');
  });

  test('the log of the process says method, tenant and code, and nothing that was sent', async () => {
    const marker = createHash('sha256').update('marker').digest('hex');
    await deployment.outcome(marker, { [marker]: marker });
    await deployment.outcome('rewrap', { tenantId: org.tenantId, targetKeyId: marker, capsules: [] });
    expect(deployment.logged.join('')).not.toContain(marker);
    expect(deployment.logged.some((line) => line.includes('"code":"invalid_request"'))).toBe(true);
  });
});
