/**
 * Two thefts that must both be worthless: the artifacts alone, and all that ASTIS stores (both databases, key folders,
 * PostgreSQL's files, logs) without the root key, which is kept elsewhere; and both together without a private key of a
 * recipient. The last test shows that the thief is no fool: with what is missing, the same search opens everything.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ORGANISATION, Policy, PolicyChanged, parseAddress } from '@astis/protocol';
import type { Connection } from '@astis/store';
import { Database } from '@astis/store';
import type { Member } from '@astis/testkit';
import { newOrganisation, startDebianPostgres15 } from '@astis/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filesIn, Scanner } from './marks.fixture.ts';
import { dump } from './pg-dump.fixture.ts';
import type { Scene, SealedArtifact } from './scene.fixture.ts';
import { open, seal, startScene } from './scene.fixture.ts';
import type { SealedKey } from './thief.fixture.ts';
import { keyIdFrom, tryEverything } from './thief.fixture.ts';

const at = (name: string) => parseAddress(`${name}@theft.test`);
const SECRET = 'k7Qw2nXv9Lr4Tz8Bm3Hs6Yc1';

let scene: Scene;
let bob: Member;
let artifact: SealedArtifact;
/** What the ASTIS store is, once PostgreSQL stands still: dumps and folders, the root key not among them. */
let store: Buffer[];
let sealedKeys: SealedKey[];
let rootKey: Buffer;

beforeAll(async () => {
  scene = await startScene({ startPostgres: (dataDir) => startDebianPostgres15({ dataDir }) });
  const org = await newOrganisation(scene.stack, 'theft.test');
  bob = await org.add('bob@theft.test');
  const { document, version } = await org.admin.client.get('/v1/policy', Policy);
  const policy = { document: { ...(document as object), recovery: true }, expectedVersion: version };
  await org.admin.client.write('PUT', '/v1/policy', policy, PolicyChanged);
  // To a person, to somebody without a key, and to the organisation: each kind of wrap is in the store.
  artifact = await seal(org.admin, [at('bob'), at('nobody'), ORGANISATION], SECRET);
  expect((await open(bob, artifact)).text).toBe(SECRET);

  const { superuser } = scene.stack.postgres;
  const connection: Connection = { ...superuser, database: 'astis_custody' };
  const custody = new Database(connection, 1);
  const rows = await custody.query<{ key_id: Uint8Array; purpose: string; sealed: Uint8Array }>(
    'select key_id, purpose, sealed from keys where sealed is not null',
  );
  await custody.close();
  sealedKeys = rows.map(({ key_id, purpose, sealed }) => ({ keyId: keyIdFrom(key_id), purpose, sealed }));
  const dumps = await Promise.all(['astis_gateway', 'astis_custody'].map((name) => dump(superuser, name)));
  const root = join(scene.home, 'keys', 'root-key');
  rootKey = readFileSync(root);
  const folders = ['gateway', 'cvs', 'keys', 'ca', 'logs'].flatMap((name) => filesIn(join(scene.home, name)));
  store = [...dumps, ...folders.filter((path) => path !== root).map((path) => readFileSync(path))];
});

afterAll(() => scene?.stop());

test('the artifact alone does not open', async () => {
  const files = [Buffer.from(artifact.envelope)];
  const tried = await tryEverything({ files, artifacts: [artifact.header], sealedKeys: [] });
  expect(tried.deks).toBe(artifact.envelope.length - 31);
  expect(tried.opened).toEqual([]);
  const plaintext = new Scanner([{ name: 'plaintext', bytes: Buffer.from(SECRET) }]);
  expect(plaintext.search('artifact', artifact.envelope)).toEqual([]);
});

test('the ASTIS store alone opens no wrap, and has no plaintext and no private key of a recipient', async () => {
  const tried = await tryEverything({ files: store, artifacts: [], sealedKeys });
  expect(tried.wraps).toBeGreaterThanOrEqual(3);
  expect(tried.keys).toBeGreaterThan(100);
  expect(tried.deks).toBeGreaterThan(10_000);
  expect(tried.opened).toEqual([]);
  const marks = new Scanner([
    { name: 'plaintext', bytes: Buffer.from(SECRET) },
    { name: 'private key', bytes: bob.keys.kemPrivateKey },
    { name: 'signing key', bytes: bob.keys.signingKey },
    { name: 'root key', bytes: rootKey },
  ]);
  expect(store.flatMap((file) => [...marks.search('store', file)])).toEqual([]);
  expect(marks.searchFolder(scene.stack.postgres.dataDir)).toEqual([]);
});

test("both together do not open without a recipient's private key", async () => {
  const files = [...store, Buffer.from(artifact.envelope)];
  const tried = await tryEverything({ files, artifacts: [artifact.header], sealedKeys });
  expect(tried.opened).toEqual([]);
});

test('with the key that is missing the same search opens', async () => {
  const withBobs = [...store, Buffer.from(bob.keys.kemPrivateKey)];
  const byBob = await tryEverything({ files: withBobs, artifacts: [artifact.header], sealedKeys });
  expect(byBob.opened).toEqual([`wrap to ${at('bob')} by found`]);
  const byRoot = await tryEverything({
    files: [...store, rootKey],
    artifacts: [artifact.header],
    sealedKeys,
  });
  expect(byRoot.opened.toSorted()).toEqual([
    `wrap to ${at('nobody')} by holding key by the root key`,
    `wrap to ${ORGANISATION} by organisation key by the root key`,
  ]);
});
