import { randomBytes } from 'node:crypto';
import type { FetchNodes, Hash, LogHead } from '@astis/audit';
import {
  appendEvents,
  consistencyProof,
  EMPTY_LOG,
  EMPTY_ROOT,
  parseVerifierKey,
  rootOf,
  verifyNote,
} from '@astis/audit';
import { toBase64Url } from '@astis/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Deployment } from '../deployment.fixture.ts';
import { newDeployment } from '../deployment.fixture.ts';
import type { Organisation } from '../organisation.fixture.ts';
import { newOrganisation } from '../organisation.fixture.ts';

/** A gateway's log: grows, and proves that it grew. */
class Log {
  readonly #org: Organisation;
  readonly #leaves: Hash[] = [];
  readonly #nodes = new Map<string, Hash>();
  #head: LogHead = EMPTY_LOG;

  constructor(org: Organisation) {
    this.#org = org;
  }

  grow(by: number, what = 'event'): this {
    const events = Array.from({ length: by }, (_, i) => ({
      event: { kind: what, i },
      salt: new Uint8Array(randomBytes(32)),
      timeMs: 1_700_000_000_000,
    }));
    const batch = appendEvents(this.#org.tenantId, this.#head, events);
    this.#leaves.push(...batch.entries.map((entry) => entry.leafHash));
    for (const { level, index, hash } of batch.completedTileRoots) this.#nodes.set(`${level}/${index}`, hash);
    this.#head = batch.head;
    return this;
  }

  get size(): number {
    return this.#head.size;
  }

  get root(): string {
    return toBase64Url(rootOf(this.#head));
  }

  async proof(oldSize: number): Promise<string[]> {
    if (oldSize === 0 || oldSize === this.size) return [];
    const fetch: FetchNodes = async (level, start, end) =>
      Array.from({ length: end - start }, (_, i) => {
        const hash = level === 0 ? this.#leaves[start + i] : this.#nodes.get(`${level}/${start + i}`);
        if (hash === undefined) throw new Error('no such node');
        return hash;
      });
    return (await consistencyProof(fetch, oldSize, this.size)).map(toBase64Url);
  }
}

describe('checkpoints', () => {
  let deployment: Deployment;
  let org: Organisation;
  let log: Log;

  beforeAll(async () => {
    deployment = await newDeployment();
    await deployment.start();
  });
  afterAll(() => deployment.end());
  beforeEach(async () => {
    org = await newOrganisation(deployment);
    log = new Log(org);
  });

  const paramsFor = async (oldSize: number, of: Log = log) => ({
    tenantId: org.tenantId,
    size: of.size,
    root: of.root,
    oldSize,
    proof: await of.proof(oldSize),
  });
  const sign = async (oldSize: number) =>
    (await deployment.call('checkpoint.sign', await paramsFor(oldSize))).note;
  const last = async () => (await deployment.call('checkpoint.last', { tenantId: org.tenantId })).size;

  test('a growing log is signed step by step; the notes verify under the tenant’s checkpoint key', async () => {
    expect(await last()).toBe(0);
    let oldSize = 0;
    for (const by of [1, 2, 5, 300, 1000]) {
      const note = await sign(log.grow(by) && oldSize);
      const { text } = verifyNote(note, [parseVerifierKey(org.keys.checkpointKey)]);
      expect(text.split('\n').slice(0, 2)).toEqual([org.keys.logOrigin, String(log.size)]);
      expect(await last()).toBe(log.size);
      oldSize = log.size;
    }
    // The same head again is the same note.
    expect(await sign(oldSize)).toBe(await sign(oldSize));
  });

  test('the empty log may be signed first', async () => {
    const params = { tenantId: org.tenantId, size: 0, root: toBase64Url(EMPTY_ROOT), oldSize: 0, proof: [] };
    await deployment.call('checkpoint.sign', params);
    log.grow(3);
    await sign(0);
  });

  test('a log that shrank is refused', async () => {
    const shorter = new Log(org);
    log.grow(10);
    await sign(0);
    shorter.grow(4);
    const params = { ...(await paramsFor(0, shorter)), oldSize: 10 };
    expect(await deployment.refusal('checkpoint.sign', params)).toBe('log_inconsistent');
    expect(await last()).toBe(10);
  });

  test('a log that forked is refused, at the same size and at a larger one', async () => {
    log.grow(8);
    const fork = new Log(org).grow(8, 'other');
    await sign(0);
    const same = { ...(await paramsFor(8, fork)), oldSize: 8 };
    expect(await deployment.refusal('checkpoint.sign', same)).toBe('log_inconsistent');
    fork.grow(5);
    expect(await deployment.refusal('checkpoint.sign', await paramsFor(8, fork))).toBe('log_inconsistent');
    log.grow(5);
    const honest = await paramsFor(8);
    expect(await deployment.refusal('checkpoint.sign', { ...honest, proof: honest.proof.slice(1) })).toBe(
      'log_inconsistent',
    );
    expect(
      await deployment.refusal('checkpoint.sign', { ...honest, root: toBase64Url(randomBytes(32)) }),
    ).toBe('log_inconsistent');
    await deployment.call('checkpoint.sign', honest);
  });

  test('a log that was put back to an older state can not begin again from there, nor from nothing', async () => {
    log.grow(6);
    await sign(0);
    const restored = new Log(org).grow(6);
    log.grow(4);
    await sign(6);
    restored.grow(20, 'rewritten');
    expect(await deployment.refusal('checkpoint.sign', { ...(await paramsFor(6, restored)) })).toBe(
      'version_conflict',
    );
    expect(await deployment.refusal('checkpoint.sign', await paramsFor(0, restored))).toBe(
      'version_conflict',
    );
    expect(await deployment.refusal('checkpoint.sign', await paramsFor(10, restored))).toBe(
      'log_inconsistent',
    );
  });

  test('what was signed is remembered over a restart', async () => {
    log.grow(7);
    await sign(0);
    await deployment.stop();
    await deployment.start();
    expect(await last()).toBe(7);
    expect(await deployment.refusal('checkpoint.sign', await paramsFor(0))).toBe('version_conflict');
  });

  test('of many gateways that sign at once, one continues each head', async () => {
    log.grow(5);
    await sign(0);
    const logs = Array.from({ length: 6 }, () => log.grow(1) && { size: log.size, root: log.root });
    const attempts = await Promise.allSettled(
      logs.map(async ({ size, root }) =>
        deployment.call('checkpoint.sign', {
          tenantId: org.tenantId,
          size,
          root,
          oldSize: 5,
          proof: size === log.size ? await log.proof(5) : [],
        }),
      ),
    );
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('what is no tree head is refused', async () => {
    log.grow(2);
    const good = await paramsFor(0);
    for (const bad of [{ size: -1 }, { oldSize: -1 }, { root: 'AAAA' }, { proof: Array(129).fill('AAAA') }])
      expect(await deployment.refusal('checkpoint.sign', { ...good, ...bad })).toBe('invalid_request');
    expect(await deployment.refusal('checkpoint.sign', { ...good, size: 1.5 })).toBe('invalid_request');
    expect(
      await deployment.refusal('checkpoint.sign', { ...good, proof: [toBase64Url(randomBytes(32))] }),
    ).toBe('log_inconsistent');
  });
});
