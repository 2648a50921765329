import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  dekCommitment,
  localUnwrapper,
  newArtifactId,
  newDek,
  newKemKeyPair,
  unwrapDek,
  wrapDek,
} from '@astis/crypto';
import type { HeaderHash, KemPublicKey, SigningPublicKey } from '@astis/protocol';
import { encodeCertificate, parseAddress, parseTenantId } from '@astis/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Job, NewKey, SealedKey } from './jobs.ts';
import type { PoolOptions } from './pool.ts';
import { WorkerPool } from './pool.ts';
import { createRootKey } from './root-key.ts';
import type { EndReason } from './worker.ts';

const tenantId = parseTenantId(randomUUID());
const makeKey: Job<'make-signing-key'> = { kind: 'make-signing-key', tenantId, purpose: 'identity' };
const address = parseAddress('someone@else.test');

describe('workers', () => {
  let folder: string;
  let rootKeyFile: string;
  let pool: WorkerPool;
  let ends: EndReason[];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'astis-worker-'));
    rootKeyFile = join(folder, 'root.key');
    createRootKey(rootKeyFile);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(() => pool.close());

  const open = (options: Partial<PoolOptions> = {}): WorkerPool => {
    ends = [];
    pool = new WorkerPool({ rootKeyFile, size: 1, onEnd: (why) => ends.push(why), ...options });
    return pool;
  };
  const identityKey = async () => sealed(await pool.run(makeKey), 'identity');
  const sealed = (key: NewKey, purpose: SealedKey['purpose']): SealedKey => ({ ...key, purpose });

  async function rewrapJob(items: number): Promise<Job<'rewrap'>> {
    const identity = await identityKey();
    const from = await pool.run({ kind: 'make-kem-key', tenantId, purpose: 'holding', kem: 'X-Wing' });
    const to = await newKemKeyPair('X-Wing');
    const one = async () => {
      const dek = newDek();
      const artifactId = newArtifactId();
      const artifact = {
        artifactId,
        headerHash: new Uint8Array(randomBytes(32)) as HeaderHash,
        commitment: dekCommitment(dek, artifactId),
        tenantId,
      };
      const recipient = { address, kem: 'X-Wing', kemKey: from.publicKey as KemPublicKey } as const;
      const { wrap, keyId } = await wrapDek(dek, recipient, artifact);
      return { wrap, context: { ...artifact, address, keyId } };
    };
    return {
      kind: 'rewrap',
      tenantId,
      from: { ...sealed(from, 'holding'), kem: 'X-Wing' },
      identity,
      to: { address, kem: 'X-Wing', kemKey: to.publicKey },
      items: await Promise.all(Array.from({ length: items }, one)),
      at: 1,
    };
  }

  test('make keys that only this root key, tenant, key id and purpose open', async () => {
    open();
    const key = await identityKey();
    const probe = (changed: Partial<SealedKey> & { readonly tenantId?: typeof tenantId }) =>
      pool.run({ kind: 'probe', tenantId: changed.tenantId ?? tenantId, key: { ...key, ...changed } });
    expect(await probe({})).toBe(true);
    expect(await probe({ purpose: 'checkpoint' })).toBe(false);
    expect(await probe({ tenantId: parseTenantId(randomUUID()) })).toBe(false);
    expect(await probe({ keyId: (await identityKey()).keyId })).toBe(false);
    const flipped = Uint8Array.from(key.sealed);
    flipped[20] = (flipped[20] ?? 0) ^ 1;
    expect(await probe({ sealed: flipped })).toBe(false);
    const other = join(folder, 'other.key');
    createRootKey(other);
    await pool.close();
    open({ rootKeyFile: other });
    expect(await probe({})).toBe(false);
  });

  test('certify for the tenant of the key alone', async () => {
    open();
    const identity = await identityKey();
    const { kem, publicKey } = await newKemKeyPair('X25519');
    const payload = encodeCertificate({
      tenantId: parseTenantId(randomUUID()),
      address,
      kind: 'person',
      role: 'member',
      hardwareBacked: false,
      signingKey: new Uint8Array(32) as SigningPublicKey,
      kem,
      kemKey: publicKey,
      issuedAt: 1,
      serial: 1,
    });
    await expect(pool.run({ kind: 'certify', tenantId, identity, payload })).rejects.toMatchObject({
      code: 'certificate_invalid',
    });
    await expect(
      pool.run({ kind: 'certify', tenantId, identity, payload: new Uint8Array(5) }),
    ).rejects.toMatchObject({ name: 'WorkerJobError' });
  });

  test('answer wraps, never a DEK or a private key', async () => {
    open();
    const job = await rewrapJob(1);
    const [item] = job.items;
    const results = await pool.run(job);
    const [result] = results;
    if (item === undefined || result === undefined || !('wrap' in result)) throw new Error('not turned');
    expect(Object.keys(result).sort()).toEqual(['link', 'wrap']);
    // Not even who asks can open it: the target's private key is elsewhere.
    const stranger = await newKemKeyPair('X-Wing');
    await expect(
      unwrapDek(result.wrap, await localUnwrapper('X-Wing', stranger.privateKey), item.context),
    ).rejects.toMatchObject({ code: 'recipient_mismatch' });
  });

  test('that die fail what they had, once; the next job has a new one', async () => {
    open();
    const job = await rewrapJob(256);
    const [worker] = pool.processIds;
    const running = pool.run(job);
    const failed = expect(running).rejects.toMatchObject({
      name: 'ProblemError',
      code: 'custody_unavailable',
    });
    process.kill(worker ?? 0, 'SIGKILL');
    await failed;
    expect(ends).toEqual(['crash']);
    expect(await pool.run(job)).toHaveLength(256);
    expect(pool.processIds).not.toContain(worker);
  });

  test('that take too long are killed', async () => {
    open();
    const job = await rewrapJob(256);
    await pool.close();
    open({ maxJobMs: 1 });
    await expect(pool.run(job)).rejects.toMatchObject({ code: 'custody_unavailable' });
    await vi.waitFor(() => expect(ends).toEqual(['timeout']));
  });

  test('are replaced after a number of uses, without failing anything', async () => {
    open({ maxUses: 3 });
    const ids = new Set<number>();
    for (let i = 0; i < 9; i++) {
      await pool.run(makeKey);
      for (const id of pool.processIds) ids.add(id);
    }
    await vi.waitFor(() => expect(ends).toEqual(['uses', 'uses', 'uses']));
    const together = Array.from({ length: 20 }, () => pool.run(makeKey));
    expect((await Promise.all(together)).map((key) => key.keyId)).toHaveLength(20);
  });

  test('are let go when they were idle', async () => {
    open({ maxIdleMs: 20 });
    await pool.run(makeKey);
    await vi.waitFor(() => expect([ends, pool.size]).toEqual([['idle'], 0]));
    await pool.run(makeKey);
  });

  test('are as many as was allowed, and so is what waits for them', async () => {
    open({ size: 2, maxJobs: 5 });
    const jobs = Array.from({ length: 8 }, () => pool.run(makeKey));
    const settled = await Promise.allSettled(jobs);
    expect(pool.size).toBe(2);
    expect(settled.map(({ status }) => status)).toEqual([
      ...Array(5).fill('fulfilled'),
      ...Array(3).fill('rejected'),
    ]);
  });

  test('finish what they have when the pool closes; then there are none', async () => {
    open();
    const job = await rewrapJob(64);
    const running = pool.run(job);
    const closed = pool.close();
    await expect(pool.run(makeKey)).rejects.toMatchObject({ code: 'custody_unavailable' });
    expect(await running).toHaveLength(64);
    await closed;
    expect([ends, pool.size]).toEqual([['closed'], 0]);
  });

  test.runIf(process.platform === 'linux')('get nothing secret by arguments or environment', async () => {
    open();
    await pool.run(makeKey);
    const [pid] = pool.processIds;
    const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
    expect(
      read('environ')
        .split('\0')
        .filter(Boolean)
        .map((entry) => entry.split('=')[0]),
    ).toEqual(['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE']);
    expect(read('cmdline')).not.toContain(rootKeyFile);
    expect(read('cmdline')).toContain('--permission');
  });

  describe('the root key’s file is refused', () => {
    const attempt = async (make: (path: string) => void) => {
      const path = join(folder, randomUUID());
      make(path);
      open({ rootKeyFile: path });
      return pool.run(makeKey).then(
        () => 'taken',
        (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
      );
    };
    const write = (path: string, size: number, mode: number) => {
      writeFileSync(path, randomBytes(size));
      chmodSync(path, mode);
    };

    test.each([0o640, 0o604, 0o660, 0o644, 0o601])('with mode %o', async (mode) => {
      expect(await attempt((path) => write(path, 32, mode))).toBe('root_key_exposed');
    });
    test.each([0, 31, 33, 64])('with %i bytes', async (size) => {
      expect(await attempt((path) => write(path, size, 0o600))).toBe('root_key_malformed');
    });
    test('when it isn’t there, or is no file', async () => {
      expect(await attempt(() => undefined)).toBe('root_key_missing');
      expect(await attempt((path) => mkdirSync(path, { mode: 0o700 }))).toBe('root_key_exposed');
    });
    test('and taken by another name, where what it leads to is right', async () => {
      expect(await attempt((path) => symlinkSync(rootKeyFile, path))).toBe('taken');
      expect(await attempt((path) => write(path, 32, 0o400))).toBe('taken');
    });
    test('and never written over', () => {
      const before = readFileSync(rootKeyFile);
      expect(() => createRootKey(rootKeyFile)).toThrow(expect.objectContaining({ code: 'root_key_missing' }));
      expect(readFileSync(rootKeyFile)).toEqual(before);
    });
  });
});
