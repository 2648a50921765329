/**
 * Every scenario runs with marked plaintexts and known DEKs and private keys. Afterwards none of them is anywhere: not
 * in PostgreSQL's files or dumps, not in a log or a key folder, not in what was said to gateway and CVS over HTTP, not
 * in the gateway's memory. A control mark, which each of these places must have, shows that the search reaches there.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { sealEnvelope } from '@astis/crypto';
import type { Dek, WrapBytes } from '@astis/protocol';
import {
  Approval,
  Artifact,
  decodeWrap,
  fromBase64Url,
  ORGANISATION,
  Policy,
  PolicyChanged,
  parseAddress,
  Rotation,
} from '@astis/protocol';
import {
  ApiError,
  custodyOrder,
  lookUp,
  parseEnrolmentCode,
  prepareSealing,
  removePerson,
  requestRelease,
  revoke,
  setExpiry,
  show,
} from '@astis/sdk';
import type { Exchange, Member, Organisation } from '@astis/testkit';
import { newOrganisation, startDebianPostgres15 } from '@astis/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finding, Mark } from './marks.fixture.ts';
import { Scanner } from './marks.fixture.ts';
import { dump } from './pg-dump.fixture.ts';
import type { Scene, SealedArtifact } from './scene.fixture.ts';
import { exportLog, freshPins, open, refusal, startScene } from './scene.fixture.ts';

let scene: Scene;
const marks: Mark[] = [];
let control: Mark;
let scanner: Scanner;

const at = (name: string) => parseAddress(`${name}@canary.test`);
const mark = (name: string, bytes: Uint8Array): void => {
  marks.push({ name, bytes: Uint8Array.from(bytes) });
};

/** Seals a marked plaintext under a DEK that is kept as a mark. */
async function sealMarked(from: Member, to: readonly ReturnType<typeof at>[]): Promise<SealedArtifact> {
  const recipients = await lookUp(from.client, to, freshPins());
  const sealing = await prepareSealing(from.client, recipients, { ttlSeconds: 3600, labels: [] });
  const dek: Dek = sealing.dek;
  mark(`DEK ${marks.length}`, dek);
  const text = randomBytes(24).toString('base64url');
  const plaintext = new TextEncoder().encode(text);
  mark(`plaintext ${marks.length}`, plaintext);
  const envelope = await sealEnvelope(plaintext, sealing.header, dek, from.identity.signer);
  await sealing.register();
  const { header, statement } = sealing;
  return { artifactId: statement.artifactId, header, statement, envelope };
}

function markKeys(name: string, { keys }: Member): void {
  mark(`${name}'s signing key`, keys.signingKey);
  mark(`${name}'s KEM key`, keys.kemPrivateKey);
}

async function recover(first: Member, second: Member, artifactId: string): Promise<void> {
  const ask = async () => {
    const order = await custodyOrder(first.client, 'recover', artifactId);
    return first.client.write('POST', '/v1/recoveries', { order }, Artifact);
  };
  const asked = await ask().catch((error: unknown) => error);
  if (!(asked instanceof ApiError) || asked.problem.approvalId === undefined)
    throw new Error('no approval was asked for');
  const path = `/v1/approvals/${asked.problem.approvalId}`;
  await second.client.write('POST', path, { decision: 'approve' }, Approval);
  await ask();
}

async function rotate(admin: Member): Promise<void> {
  const order = await custodyOrder(admin.client, 'rotate-organisation-key', '');
  const { id } = await admin.client.write('POST', '/v1/organisation/rotations', { order }, Rotation);
  const path = `/v1/organisation/rotations/${id}`;
  while ((await admin.client.get(path, Rotation)).status === 'running')
    await new Promise((wake) => setTimeout(wake, 100));
  expect((await admin.client.get(path, Rotation)).status).toBe('done');
}

async function run(org: Organisation): Promise<void> {
  const alice = org.admin;
  const bob = await org.add('bob@canary.test');
  const second = await org.add('second@canary.test', { role: 'admin' });
  const { document, version } = await alice.client.get('/v1/policy', Policy);
  const policy = { document: { ...(document as object), recovery: true }, expectedVersion: version };
  await alice.client.write('PUT', '/v1/policy', policy, PolicyChanged);

  const opened = await sealMarked(alice, [at('bob'), at('carol'), ORGANISATION]);
  const release = await requestRelease(bob.client, opened.artifactId);
  control = {
    name: 'control',
    bytes: decodeWrap(fromBase64Url(release.capsule.wrap) as WrapBytes).ciphertext,
  };
  await open(bob, opened, release);
  await show(alice.client, opened.artifactId);

  // The holding key's wrap is turned to Carol's own key.
  const code = await org.invite('carol@canary.test');
  mark('enrolment secret', Buffer.concat([parseEnrolmentCode(code).secret, Buffer.alloc(0)]));
  const { enrol } = await import('@astis/sdk');
  const { localSigner, localUnwrapper } = await import('@astis/crypto');
  const { Client } = await import('@astis/sdk');
  const keys = await enrol(org.transport, parseEnrolmentCode(code));
  const identity = {
    ...alice.identity,
    personId: keys.personId,
    address: keys.address,
    signingKey: keys.signingKey,
    signer: localSigner(keys.signingKey),
    unwrapper: await localUnwrapper(keys.kem, keys.kemPrivateKey),
  };
  const carol: Member = { keys, identity, client: new Client(identity, org.transport) };
  expect(keys.rewrapped).toBe(1);
  await open(carol, opened);

  // Recovery, a rotation of the organisation's key with what is wrapped to it, and recovery from the new one.
  await recover(alice, second, opened.artifactId);
  await open(alice, opened);
  await rotate(alice);
  await recover(second, alice, opened.artifactId);
  await open(second, opened);

  const ended = await sealMarked(bob, [at('carol')]);
  await setExpiry(bob.client, ended.artifactId, undefined, new Date(Date.now() + 60_000), ended.statement);
  await open(carol, ended);
  await revoke(bob.client, ended.artifactId, undefined, 'canary');
  expect(await refusal(open(carol, ended))).toBe('revoked');
  const removed = await sealMarked(alice, [at('bob')]);
  await removePerson(alice.client, { id: bob.identity.personId, address: at('bob'), serial: 1 });
  expect(await refusal(open(bob, removed))).not.toBe('none');
  await exportLog(alice);
  for (const [name, member] of Object.entries({ alice, bob, second, carol })) markKeys(name, member);
}

beforeAll(async () => {
  // Debian's server, since its pg_dump is of the same version.
  scene = await startScene({ capture: true, startPostgres: (dataDir) => startDebianPostgres15({ dataDir }) });
  await run(await newOrganisation(scene.stack, 'canary.test'));
  scanner = new Scanner([...marks, control]);
  await scene.gatewayStore.query('checkpoint');
});

afterAll(() => scene?.stop());

const leaks = (findings: readonly Finding[]) => findings.filter(({ mark: name }) => name !== 'control');
const controls = (findings: readonly Finding[]) => findings.filter(({ mark: name }) => name === 'control');

function inMessage({ method, path, requestHeaders, requestBody, responseHeaders, responseBody }: Exchange) {
  return [
    ['request', path, ...requestHeaders].join('\n'),
    requestBody,
    ['answer', ...responseHeaders].join('\n'),
    responseBody,
  ].flatMap((part) => scanner.search(`${method} ${path}`, Buffer.from(part)));
}

describe('no mark is', () => {
  test('in a dump of either database', async () => {
    for (const database of ['astis_gateway', 'astis_custody']) {
      const findings = scanner.search(database, await dump(scene.stack.postgres.superuser, database));
      expect(leaks(findings)).toEqual([]);
      if (database === 'astis_gateway')
        expect(controls(findings).map(({ encoding }) => encoding)).toContain('hex');
    }
  });

  test("in PostgreSQL's files, its write-ahead log included", () => {
    const findings = scanner.searchFolder(scene.stack.postgres.dataDir);
    expect(leaks(findings)).toEqual([]);
    expect(controls(findings).map(({ encoding }) => encoding)).toContain('raw');
    expect(controls(findings).some(({ where }) => where.includes('pg_wal'))).toBe(true);
  });

  test('in a log, or in the folders of gateway, CVS and the rest of the stack', () => {
    for (const folder of ['logs', 'gateway', 'cvs', 'keys', 'ca']) {
      expect(leaks(scanner.searchFolder(join(scene.home, folder)))).toEqual([]);
    }
    expect(leaks(scanner.searchFile(join(scene.home, 'pg.log')))).toEqual([]);
    const lines = new Scanner([{ name: 'ready', bytes: Buffer.from('"msg":"listening"') }]);
    expect(lines.searchFolder(scene.stack.logs).length).toBeGreaterThan(0);
  });

  test('in any HTTP exchange with gateway or CVS', () => {
    const exchanges = scene.stack.exchanges();
    const toCvs = exchanges.filter(({ path }) => path === '/custody');
    expect(toCvs.length).toBeGreaterThan(5);
    expect(exchanges.length - toCvs.length).toBeGreaterThan(40);
    const findings = exchanges.flatMap((exchange) => inMessage(exchange));
    expect(leaks(findings)).toEqual([]);
    expect(controls(findings).map(({ encoding, where }) => [encoding, where])).toContainEqual([
      'base64url',
      'POST /v1/releases',
    ]);
    // Between gateway and CVS not even a wrap is to be seen: whoever ends TLS there learns nothing.
    expect(controls(toCvs.flatMap((exchange) => inMessage(exchange)))).toEqual([]);
    expect(toCvs.every(({ requestBody }) => !requestBody.includes('canary.test'))).toBe(true);
  });

  test("in the gateway's memory", () => {
    const findings = scanner.searchMemory(scene.stack.gateway.pid);
    expect(leaks(findings)).toEqual([]);
    // What it did have in its hands is found there.
    expect(controls(findings)).not.toEqual([]);
  });
});
