import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TenantId } from '@astis/protocol';
import { parseAddress, parseKeyId, parseTenantId, toBase64Url } from '@astis/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../database.ts';
import { startEmbeddedPostgres } from '../embedded/index.ts';
import type { PostgresServer } from '../embedded/server.ts';
import { migrate } from '../migrate.ts';
import type { ProvisionedDatabase } from '../provision.ts';
import { provision } from '../provision.ts';
import type { CustodyStore } from './index.ts';
import { custodyKeys, custodyRequests, openCustodyStore } from './index.ts';

describe('the CVS’s store', () => {
  let folder: string;
  let server: PostgresServer;
  let database: ProvisionedDatabase;
  let store: CustodyStore;
  const tenant = parseTenantId(randomUUID());
  const other = parseTenantId(randomUUID());
  const newKey = () => ({
    keyId: parseKeyId(toBase64Url(randomBytes(32))),
    purpose: 'holding' as const,
    address: parseAddress('someone@else.test'),
    generation: 1,
    kem: 'X-Wing' as const,
    publicKey: new Uint8Array(randomBytes(1216)),
    sealed: new Uint8Array(randomBytes(61)),
  });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'astis-custody-'));
    chmodSync(folder, 0o711);
    server = await startEmbeddedPostgres({ dataDir: join(folder, 'pg') });
    database = await provision(server.superuser, {
      database: 'custody',
      serviceRole: 'astis_custody',
      ownerPassword: 'owner',
      servicePassword: 'service',
    });
    await migrate(database.owner, 'custody');
    store = openCustodyStore({ connection: database.service, poolSize: 4 });
    await store.createLog(tenant, 'test/custody/a');
    await store.createLog(tenant, 'test/custody/a');
    await store.createLog(other, 'test/custody/b');
  });
  afterAll(async () => {
    await store.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a key is seen by its tenant alone, and a destroyed one has no secret', async () => {
    const key = newKey();
    await store.append(tenant, async (tx) => {
      await custodyKeys.insertKey(tx, tenant, key);
      return { result: undefined, events: [] };
    });
    const find = (tenantId: TenantId, named: TenantId) =>
      store.read(tenantId, async (tx) => (await custodyKeys.findKeys(tx, named, [key.keyId])).get(key.keyId));
    expect(await find(tenant, tenant)).toMatchObject({ keyId: key.keyId, sealed: key.sealed, kem: 'X-Wing' });
    // Row-level security, whatever the query says.
    expect(await find(other, tenant)).toBeUndefined();
    const destroy = () =>
      store.append(tenant, async (tx) => ({
        result: await custodyKeys.destroyKey(tx, tenant, key.keyId),
        events: [],
      }));
    expect(await destroy()).toBe(true);
    expect(await destroy()).toBe(false);
    expect(await find(tenant, tenant)).toMatchObject({ keyId: key.keyId, sealed: undefined });
  });

  test('a job that throws leaves nothing, and its neighbours stand', async () => {
    const key = newKey();
    const hash = new Uint8Array(randomBytes(32));
    const failing = store.append(tenant, async (tx) => {
      await custodyKeys.insertKey(tx, tenant, { ...key, generation: 2 });
      throw new RangeError('no');
    });
    const good = store.append(tenant, async (tx) => {
      await custodyRequests.insertCarriedOut(tx, tenant, hash, { done: true });
      return { result: 'ok', events: [{ kind: 'test', actor: 'a', subject: 's' }] };
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(await good).toBe('ok');
    expect(await store.read(tenant, (tx) => custodyRequests.carriedOut(tx, tenant, hash))).toEqual({
      done: true,
    });
    const kinds: string[] = [];
    for await (const entry of store.entries(tenant)) kinds.push(entry.kind);
    expect(kinds).toEqual(['test']);
  });

  test('a message id is good once, and those whose time has passed are taken away', async () => {
    const use = (id: Uint8Array, expiresMs: number) =>
      store.append(tenant, async (tx) => ({
        result: await custodyRequests.useMessageId(tx, id, expiresMs),
        events: [],
      }));
    const old = Uint8Array.from([1, ...randomBytes(15)]);
    expect(await use(old, Date.now() - 3_600_000)).toBe(true);
    expect(await use(old, Date.now())).toBe(false);
    const fresh = Uint8Array.from([1, ...randomBytes(15)]);
    expect(await use(fresh, Date.now() + 60_000)).toBe(true);
    // An id that begins with a zero byte sweeps.
    expect(await use(Uint8Array.from([0, ...randomBytes(15)]), Date.now() + 60_000)).toBe(true);
    const service = new Database(database.service, 1);
    const rows = await service.query<{ id: Buffer }>('select message_id as id from message_ids');
    await service.close();
    const left = rows.map((row) => toBase64Url(row.id));
    expect(left).not.toContain(toBase64Url(old));
    expect(left).toContain(toBase64Url(fresh));
  });

  test('a challenge is taken once, by its own hash, before it lapses', async () => {
    const { keyId } = newKey();
    const hash = new Uint8Array(randomBytes(32));
    const now = Math.floor(Date.now() / 1000);
    const put = (notAfter: number) =>
      store.append(tenant, async (tx) => ({
        result: await custodyRequests.putChallenge(tx, tenant, keyId, hash, notAfter),
        events: [],
      }));
    const take = (answer: Uint8Array) =>
      store.append(tenant, async (tx) => ({
        result: await custodyRequests.takeChallenge(tx, tenant, keyId, answer),
        events: [],
      }));
    await put(now + 60);
    expect(await take(new Uint8Array(32))).toBe(false);
    expect(await take(hash)).toBe(true);
    expect(await take(hash)).toBe(false);
    await put(now - 1);
    expect(await take(hash)).toBe(false);
  });

  test('without a log nothing is carried out', async () => {
    const stranger = parseTenantId(randomUUID());
    let ran = false;
    const attempt = store.append(stranger, async () => {
      ran = true;
      return { result: undefined, events: [] };
    });
    await expect(attempt).rejects.toMatchObject({ code: 'not_found' });
    expect(ran).toBe(false);
  });
});
