import { createHash, randomUUID } from 'node:crypto';
import { checkReceipt } from '@astis/audit';
import { defaultPolicyDocument } from '@astis/policy';
import type { Address, ArtifactId, ProblemCode } from '@astis/protocol';
import { fromBase64Url, ProblemError, parseCapsuleId } from '@astis/protocol';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  TestArtifact,
  TestDatabase,
  TestOrganisation,
  TestPerson,
  TestServer,
} from '../gateway.fixture.ts';
import {
  gatewayDatabase,
  newArtifactId,
  newKeyId,
  newOrganisation,
  newTenantId,
  question,
  RECEIPT_KEY,
  SERVERS,
  seal,
  startServer,
} from '../gateway.fixture.ts';
import type { GatewayStore, GrantedRelease, ReleaseAnswer } from '../index.ts';
import { approvals, capsules, denials, listEntries, people, policies, requests, tenants } from '../index.ts';

const granted = (answer: ReleaseAnswer | undefined): GrantedRelease => {
  if (answer === undefined || answer instanceof ProblemError) throw answer ?? new Error('no answer');
  return answer;
};

const codeOf = (answer: ReleaseAnswer | undefined): ProblemCode | 'granted' | 'none' =>
  answer === undefined ? 'none' : answer instanceof ProblemError ? answer.code : 'granted';

interface LoggedEvent {
  readonly kind: string;
  readonly actor: string;
  readonly subject?: string;
  readonly code?: string;
  readonly policies?: readonly string[];
  readonly repeats?: number;
  readonly capsule?: string;
  readonly wrapSha256?: string;
  readonly policy?: number;
  readonly keyId?: string;
}

const NEEDS_APPROVAL = {
  ...defaultPolicyDocument,
  approvalValidSeconds: 60,
  cedar: `${defaultPolicyDocument.cedar}
@id("releases-take-two")
@reason("A second person has to agree.")
forbid (principal, action == Action::"release", resource) unless { context.approved };
`,
};

const FORBIDS_SECRET = {
  ...defaultPolicyDocument,
  cedar: `${defaultPolicyDocument.cedar}
@id("no-secrets")
@reason("Nothing secret is released.")
forbid (principal, action == Action::"release", resource) when { resource.labels.contains("secret") };
`,
};

describe.each(SERVERS)('%s', (_name, start) => {
  let server: TestServer;
  let database: TestDatabase;
  let store: GatewayStore;
  let other: GatewayStore;
  beforeAll(async () => {
    server = await startServer(start);
    database = await gatewayDatabase(server);
    store = database.open();
    other = database.open();
  });
  afterAll(async () => {
    await database.close();
    await server.stop();
  });

  const [ALICE, BOB, CAROL] = [0, 1, 2];
  const person = (organisation: TestOrganisation, i: number | undefined): TestPerson => {
    const found = organisation.people[i ?? 0];
    if (found === undefined) throw new Error('no such person');
    return found;
  };

  async function logged({ tenantId }: TestOrganisation, kind: string): Promise<readonly LoggedEvent[]> {
    const entries = await store.transaction(tenantId, (tx) =>
      listEntries(tx, tenantId, { kind }, { limit: 1000, newestFirst: false }),
    );
    return entries.map(({ disclosed }) => JSON.parse(disclosed?.event ?? '{}') as LoggedEvent);
  }

  const ask = (
    { tenantId }: TestOrganisation,
    by: TestPerson,
    ids: readonly ArtifactId[],
    changes: Parameters<typeof question>[2] = {},
  ) => store.releases.ask(tenantId, question(by, ids, changes));

  /** An organisation with one artifact of alice's for bob. */
  async function sealed(
    plan: Parameters<typeof newOrganisation>[1] = {},
    sealing: Parameters<typeof seal>[4] = {},
  ): Promise<{ organisation: TestOrganisation; bob: TestPerson; artifact: TestArtifact }> {
    const organisation = await newOrganisation(store, plan);
    const bob = person(organisation, BOB);
    const artifact = await seal(store, organisation, person(organisation, ALICE), [bob], sealing);
    return { organisation, bob, artifact };
  }

  /** Something done to the database that no service could. */
  async function asSuperuser(sql: string, parameters: readonly unknown[] = []): Promise<void> {
    const client = new pg.Client({ ...server.postgres.superuser, database: database.owner.database });
    await client.connect();
    await client.query(sql, [...parameters]);
    await client.end();
  }

  test('a recipient gets the capsule, and a receipt that proves its entry in the log', async () => {
    const { organisation, bob, artifact } = await sealed();
    await store.transaction(organisation.tenantId, (tx) =>
      tenants.saveCheckpoint(tx, organisation.tenantId, 1, 'a checkpoint'),
    );
    const release = granted((await ask(organisation, bob, [artifact.artifactId]))[0]);
    const wrap = artifact.wraps.get(bob.address) ?? new Uint8Array(0);
    expect(release).toMatchObject({
      artifactId: artifact.artifactId,
      address: bob.address,
      keyId: bob.keyId,
      wrap,
      statement: artifact.statement,
      links: [],
    });
    expect(release.sealerCertificate).toHaveLength(1400);
    expect(release.receipt.checkpoint).toBe('a checkpoint');
    const { checkpoint: _, ...receipt } = release.receipt;
    const { entry, event } = checkReceipt(receipt, {
      checkpointKeys: [],
      receiptKeys: [RECEIPT_KEY.verifier],
    });
    expect(entry.tenant).toBe(organisation.tenantId);
    expect(event).toMatchObject({
      kind: 'release.granted',
      actor: bob.address,
      subject: artifact.artifactId,
      capsule: release.id,
      keyId: bob.keyId,
      policy: 1,
      wrapSha256: createHash('sha256').update(wrap).digest('base64url'),
    });
    expect(await logged(organisation, 'release.granted')).toEqual([event]);
  });

  test('what comes out is what went in, whatever bytes, labels and links there are', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    const [alice, bob] = [person(organisation, ALICE), person(organisation, BOB)];
    const labels = ['plain', 'with "quotes" and \\', 'ünïcödé ☃', '{braces},commas', 'null', ''];
    const artifact = await seal(store, organisation, alice, [bob], { labels, kind: 'holding' });
    const links = [new Uint8Array([0, 255, 92, 34]), new Uint8Array(0), new Uint8Array(70).fill(1)];
    let wrap = artifact.wraps.get(bob.address) ?? new Uint8Array(0);
    const before = granted((await ask(organisation, bob, [artifact.artifactId]))[0]);
    for (const [i, link] of links.entries()) {
      const next = new Uint8Array(1200).fill(i);
      await store.log.append(tenantId, async (tx) => {
        const target = { wrap: next, link, keyId: newKeyId(), kind: 'person' as const };
        expect(await capsules.saveRewrap(tx, tenantId, { id: before.id, wrap }, target)).toBe(true);
        // The wrap that it replaced is not there any more, so a second one who comes late changes nothing.
        expect(await capsules.saveRewrap(tx, tenantId, { id: before.id, wrap }, target)).toBe(false);
        return { events: [], finish: () => undefined };
      });
      wrap = next;
    }
    const after = granted((await ask(organisation, bob, [artifact.artifactId]))[0]);
    expect(after.links).toEqual(links);
    expect(after.wrap).toEqual(wrap);
    expect(after.id).toBe(before.id);
    expect(
      (await store.transaction(tenantId, (tx) => capsules.getArtifact(tx, tenantId, artifact.artifactId)))
        .labels,
    ).toEqual(labels);
  });

  test('many who ask at once are answered each with their own, in as few transactions as there is need for', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `person${i}`);
    const organisation = await newOrganisation(store, { names });
    const artifacts = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        seal(store, organisation, person(organisation, 0), [person(organisation, i % 20)]),
      ),
    );
    const answers = await Promise.all(
      artifacts.map(({ artifactId }, i) => ask(organisation, person(organisation, i % 20), [artifactId])),
    );
    for (const [i, [answer]] of answers.entries()) {
      const { address } = person(organisation, i % 20);
      const release = granted(answer);
      expect(release).toMatchObject({ address, artifactId: artifacts[i]?.artifactId });
      expect(release.wrap).toEqual(artifacts[i]?.wraps.get(address));
      checkReceipt(release.receipt, { checkpointKeys: [], receiptKeys: [RECEIPT_KEY.verifier] });
    }
    const notes = new Set(answers.map(([answer]) => granted(answer).receipt.note));
    expect(notes.size).toBeLessThan(10);
  });

  test('one request for many artifacts gets an answer for each, in order', async () => {
    const organisation = await newOrganisation(store);
    const [alice, bob, carol] = [ALICE, BOB, CAROL].map((i) => person(organisation, i)) as [
      TestPerson,
      TestPerson,
      TestPerson,
    ];
    const own = await seal(store, organisation, alice, [bob]);
    const others = await seal(store, organisation, alice, [carol]);
    const past = await seal(store, organisation, alice, [bob, carol], {
      expiresAt: new Date(Date.now() - 1),
    });
    const ids = [others.artifactId, own.artifactId, newArtifactId(), past.artifactId];
    const answers = await ask(organisation, bob, ids);
    expect(answers.map(codeOf)).toEqual(['not_found', 'granted', 'not_found', 'expired']);
  });

  test('batches of more than a transaction has room for are all answered', async () => {
    const { organisation, bob, artifact } = await sealed();
    const made = Array.from({ length: 255 }, () => newArtifactId());
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => ask(organisation, bob, [...made, artifact.artifactId])),
    );
    for (const list of answers) {
      expect(list.map(codeOf)).toEqual([...made.map(() => 'not_found'), 'granted']);
    }
    expect(await logged(organisation, 'release.granted')).toHaveLength(12);
  });

  describe('refuses', () => {
    test('who is no recipient and what is not there, by the same answer', async () => {
      const { organisation, artifact } = await sealed();
      const carol = person(organisation, CAROL);
      const [known] = await ask(organisation, carol, [artifact.artifactId]);
      const [unknown] = await ask(organisation, carol, [newArtifactId()]);
      expect(codeOf(known)).toBe('not_found');
      expect(known).toEqual(unknown);
    });

    test('another tenant’s person and artifact, as if they were not there', async () => {
      const { organisation, bob, artifact } = await sealed();
      const elsewhere = await newOrganisation(store);
      const [foreign] = await ask(elsewhere, person(elsewhere, BOB), [artifact.artifactId]);
      expect(codeOf(foreign)).toBe('not_found');
      const [stranger] = await ask(elsewhere, bob, [artifact.artifactId]);
      expect(codeOf(stranger)).toBe('key_revoked');
      await expect(
        store.releases.ask(newTenantId(), question(bob, [artifact.artifactId])),
      ).rejects.toMatchObject({ code: 'not_found' });
      expect(await logged(organisation, 'release.denied')).toEqual([]);
    });

    test('what was revoked, before what has expired', async () => {
      const { organisation, bob, artifact } = await sealed();
      const { tenantId } = organisation;
      await store.log.append(tenantId, async (tx) => {
        await capsules.setExpiry(tx, tenantId, artifact.artifactId, undefined, new Date(Date.now() - 1000));
        return { events: [], finish: () => undefined };
      });
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('expired');
      await store.log.append(tenantId, async (tx) => {
        const revoked = await capsules.revoke(tx, tenantId, artifact.artifactId, undefined);
        expect(revoked).toEqual([bob.address]);
        return { events: [], finish: () => undefined };
      });
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('revoked');
      expect((await logged(organisation, 'release.denied')).map(({ code }) => code)).toEqual([
        'expired',
        'revoked',
      ]);
    });

    test('at the very end of the time to live, by the database’s clock', async () => {
      const organisation = await newOrganisation(store);
      const bob = person(organisation, BOB);
      const expiresAt = new Date(Date.now() + 400);
      const artifact = await seal(store, organisation, person(organisation, ALICE), [bob], { expiresAt });
      for (;;) {
        const before = await store.transaction(organisation.tenantId, requests.databaseNow);
        const [answer] = await ask(organisation, bob, [artifact.artifactId]);
        const after = await store.transaction(organisation.tenantId, requests.databaseNow);
        if (codeOf(answer) === 'granted') expect(before).toBeLessThan(expiresAt.getTime());
        else {
          expect(codeOf(answer)).toBe('expired');
          expect(after).toBeGreaterThanOrEqual(expiresAt.getTime());
          break;
        }
      }
    });

    test('who was removed, and whose key is not the registered one any more', async () => {
      const { organisation, bob, artifact } = await sealed();
      const { tenantId } = organisation;
      const [old] = await ask(organisation, bob, [artifact.artifactId], { serial: bob.serial + 7 });
      expect(codeOf(old)).toBe('key_revoked');
      await store.log.append(tenantId, async (tx) => {
        await people.remove(tx, tenantId, await people.getPerson(tx, tenantId, bob.id));
        return { events: [], finish: () => undefined };
      });
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('key_revoked');
    });

    test('what policy forbids, from the very next request after the policy was changed', async () => {
      const { organisation, bob, artifact } = await sealed({}, { labels: ['secret'] });
      const { tenantId } = organisation;
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('granted');
      await other.log.append(tenantId, async (tx) => {
        await policies.addPolicy(tx, tenantId, 1, FORBIDS_SECRET, 'alice');
        return { events: [], finish: () => undefined };
      });
      const [answer] = await ask(organisation, bob, [artifact.artifactId]);
      expect(answer).toMatchObject({
        code: 'denied_by_policy',
        extras: { reasons: ['Nothing secret is released.'] },
      });
      expect(await logged(organisation, 'release.denied')).toMatchObject([
        {
          actor: bob.address,
          subject: artifact.artifactId,
          code: 'denied_by_policy',
          policies: ['no-secrets'],
        },
      ]);
    });

    test('everything where there is no policy', async () => {
      const { organisation, bob, artifact } = await sealed();
      await asSuperuser('delete from policies where tenant_id = $1', [organisation.tenantId]);
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('denied_by_policy');
    });

    test('when the log’s newest entry is of later than now: the clock stepped back', async () => {
      const { organisation, bob, artifact } = await sealed();
      await asSuperuser('update log_heads set time_ms = time_ms + 60000 where tenant_id = $1', [
        organisation.tenantId,
      ]);
      const [answer] = await ask(organisation, bob, [artifact.artifactId]);
      expect(codeOf(answer)).toBe('clock_stepped_back');
      expect((await logged(organisation, 'release.denied')).map(({ code }) => code)).toEqual([
        'clock_stepped_back',
      ]);
    });

    test('what had expired by the newest entry’s time stays expired, however little the clock steps back', async () => {
      const { organisation, bob, artifact } = await sealed();
      const { tenantId } = organisation;
      await asSuperuser(
        `update log_heads set time_ms = floor(extract(epoch from clock_timestamp()) * 1000) + 900 where tenant_id = $1`,
        [tenantId],
      );
      await asSuperuser(
        `update capsules set expires_at = clock_timestamp() + interval '500 ms' where tenant_id = $1`,
        [tenantId],
      );
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('expired');
    });

    test('for every tenant when the clock was once seen to show a later time, though their logs rest', async () => {
      const { organisation, bob, artifact } = await sealed();
      await requests.noteClock(store.database);
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('granted');
      await asSuperuser('update clock set latest_ms = latest_ms + 3600000');
      try {
        await requests.noteClock(store.database);
        expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('clock_stepped_back');
      } finally {
        await asSuperuser('update clock set latest_ms = 0');
      }
    });

    test('everything when the log takes no entries', async () => {
      const { organisation, bob, artifact } = await sealed();
      // A log whose table refuses rows of this tenant, as a full disk would.
      const name = `full_${randomUUID().replaceAll('-', '')}`;
      await asSuperuser(
        `alter table audit_entries add constraint ${name} check (tenant_id <> '${organisation.tenantId}') not valid`,
      );
      const proofId = randomUUID();
      await expect(ask(organisation, bob, [artifact.artifactId], { proofId })).rejects.toMatchObject({
        code: 'audit_unavailable',
      });
      await asSuperuser(`alter table audit_entries drop constraint ${name}`);
      // Nothing of it happened, so the proof is still good.
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId], { proofId }))[0])).toBe('granted');
    });
  });

  describe('a proof is good for one request', () => {
    test('in a later batch, of another process too', async () => {
      const { organisation, bob, artifact } = await sealed();
      const asked = question(bob, [artifact.artifactId]);
      expect(codeOf((await store.releases.ask(organisation.tenantId, asked))[0])).toBe('granted');
      expect(codeOf((await store.releases.ask(organisation.tenantId, asked))[0])).toBe('proof_replayed');
      expect(codeOf((await other.releases.ask(organisation.tenantId, asked))[0])).toBe('proof_replayed');
    });

    test('in the same batch, and when two processes are asked at once', async () => {
      const { organisation, bob, artifact } = await sealed();
      const asked = question(bob, [artifact.artifactId]);
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 === 0 ? store : other).releases.ask(organisation.tenantId, asked),
        ),
      );
      const codes = answers.map(([answer]) => codeOf(answer));
      expect(codes.filter((code) => code === 'granted')).toHaveLength(1);
      expect(codes.filter((code) => code === 'proof_replayed')).toHaveLength(19);
      expect(await logged(organisation, 'release.granted')).toHaveLength(1);
    });

    test('whether a release or another request used it', async () => {
      const { organisation, bob, artifact } = await sealed();
      const { tenantId } = organisation;
      const asked = question(bob, [artifact.artifactId]);
      const use = () =>
        store.transaction(tenantId, (tx) =>
          requests.useProof(tx, tenantId, asked.proofId, asked.proofExpiresAt),
        );
      await use();
      expect(codeOf((await store.releases.ask(tenantId, asked))[0])).toBe('proof_replayed');
      await expect(use()).rejects.toMatchObject({ code: 'proof_replayed' });
    });

    test('refused requests use theirs up too', async () => {
      const { organisation, bob, artifact } = await sealed();
      const asked = question(bob, [newArtifactId()]);
      expect(codeOf((await ask(organisation, bob, [], {}))[0])).toBe('none');
      expect(codeOf((await store.releases.ask(organisation.tenantId, asked))[0])).toBe('not_found');
      const again = { ...asked, artifactIds: [artifact.artifactId] };
      expect(codeOf((await store.releases.ask(organisation.tenantId, again))[0])).toBe('proof_replayed');
    });

    test('an id of any characters and length hurts nobody else in the batch', async () => {
      const { organisation, bob, artifact } = await sealed();
      const ids = [
        '\u0000'.repeat(16),
        '\ud800'.repeat(16),
        "'; drop table people; --",
        'x'.repeat(100_000),
        'é☃𐍈',
      ];
      const answers = await Promise.all(
        [...ids, randomUUID()].map((proofId) => ask(organisation, bob, [artifact.artifactId], { proofId })),
      );
      expect(answers.map(([answer]) => codeOf(answer))).toEqual(answers.map(() => 'granted'));
      const [again] = await ask(organisation, bob, [artifact.artifactId], { proofId: ids[0] ?? '' });
      expect(codeOf(again)).toBe('proof_replayed');
    });

    test('two tenants do not share ids', async () => {
      const [one, two] = [await sealed(), await sealed()];
      const proofId = randomUUID();
      for (const { organisation, bob, artifact } of [one, two]) {
        expect(codeOf((await ask(organisation, bob, [artifact.artifactId], { proofId }))[0])).toBe('granted');
      }
    });

    test('ids are forgotten only once nobody can use them any more', async () => {
      const { organisation, bob, artifact } = await sealed();
      const { tenantId } = organisation;
      const lapsed = question(bob, [artifact.artifactId], { proofExpiresAt: new Date(Date.now() - 1000) });
      const current = question(bob, [artifact.artifactId]);
      await store.releases.ask(tenantId, lapsed);
      await store.releases.ask(tenantId, current);
      await store.transaction(tenantId, (tx) => requests.forgetOldRequests(tx, tenantId));
      expect(codeOf((await store.releases.ask(tenantId, current))[0])).toBe('proof_replayed');
      expect(codeOf((await store.releases.ask(tenantId, lapsed))[0])).toBe('granted');
    });
  });

  describe('approvals', () => {
    const approve = (
      organisation: TestOrganisation,
      id: string,
      status: 'approved' | 'denied',
      seconds = 60,
    ) =>
      store.transaction(organisation.tenantId, (tx) =>
        approvals.decideApproval(tx, organisation.tenantId, id, {
          status,
          by: person(organisation, ALICE).address,
          validSeconds: seconds,
        }),
      );

    test('a release that takes two waits for the second, and is then granted for as long as that holds', async () => {
      const { organisation, bob, artifact } = await sealed({ policy: NEEDS_APPROVAL });
      const { tenantId } = organisation;
      const [first] = await ask(organisation, bob, [artifact.artifactId]);
      expect(first).toMatchObject({ code: 'approval_required' });
      const id = first instanceof ProblemError ? (first.extras.approvalId ?? '') : '';
      const [second] = await ask(organisation, bob, [artifact.artifactId]);
      expect(second).toMatchObject({ code: 'approval_required', extras: { approvalId: id } });
      expect(await logged(organisation, 'approval.requested')).toMatchObject([
        { actor: bob.address, subject: artifact.artifactId, approval: id, action: 'release' },
      ]);
      expect((await approve(organisation, id, 'approved')).status).toBe('approved');
      expect(codeOf((await ask(organisation, bob, [artifact.artifactId]))[0])).toBe('granted');
      await asSuperuser('update approvals set valid_until = clock_timestamp() where tenant_id = $1', [
        tenantId,
      ]);
      const [later] = await ask(organisation, bob, [artifact.artifactId]);
      expect(codeOf(later)).toBe('approval_required');
      expect(later instanceof ProblemError ? later.extras.approvalId : id).not.toBe(id);
      await expect(approve(organisation, id, 'denied')).rejects.toMatchObject({ code: 'version_conflict' });
    });

    test('an approval is for one person and one artifact, and a denial approves nothing', async () => {
      const organisation = await newOrganisation(store, { policy: NEEDS_APPROVAL });
      const [alice, bob, carol] = [ALICE, BOB, CAROL].map((i) => person(organisation, i)) as [
        TestPerson,
        TestPerson,
        TestPerson,
      ];
      const one = await seal(store, organisation, alice, [bob, carol]);
      const two = await seal(store, organisation, alice, [bob]);
      const idOf = async (by: TestPerson, artifact: TestArtifact): Promise<string> => {
        const [answer] = await ask(organisation, by, [artifact.artifactId]);
        return answer instanceof ProblemError ? (answer.extras.approvalId ?? '') : '';
      };
      await approve(organisation, await idOf(bob, one), 'approved');
      await approve(organisation, await idOf(bob, two), 'denied');
      expect(codeOf((await ask(organisation, bob, [one.artifactId]))[0])).toBe('granted');
      expect(codeOf((await ask(organisation, carol, [one.artifactId]))[0])).toBe('approval_required');
      expect(codeOf((await ask(organisation, bob, [two.artifactId]))[0])).toBe('approval_required');
    });

    test('many in one batch are filed once each, and each learns its own id', async () => {
      const organisation = await newOrganisation(store, { policy: NEEDS_APPROVAL });
      const { tenantId } = organisation;
      const bob = person(organisation, BOB);
      const artifacts = await Promise.all(
        Array.from({ length: 30 }, () => seal(store, organisation, person(organisation, ALICE), [bob])),
      );
      const ids = artifacts.map(({ artifactId }) => artifactId);
      const answers = (await Promise.all([ask(organisation, bob, ids), ask(organisation, bob, ids)])).flat();
      const told = answers.map((answer) =>
        answer instanceof ProblemError ? answer.extras.approvalId : undefined,
      );
      expect(told.slice(0, 30)).toEqual(told.slice(30));
      expect(new Set(told).size).toBe(30);
      for (const [i, id] of told.slice(0, 30).entries()) {
        const approval = await store.transaction(tenantId, (tx) =>
          approvals.getApproval(tx, tenantId, id ?? ''),
        );
        expect(approval).toMatchObject({ artifactId: ids[i], requester: bob.address, status: 'pending' });
      }
      expect(await logged(organisation, 'approval.requested')).toHaveLength(30);
    });
  });

  describe('denials', () => {
    const passMinute = ({ tenantId }: TestOrganisation) =>
      asSuperuser(`update denials set window_end = window_end - interval '61 seconds' where tenant_id = $1`, [
        tenantId,
      ]);
    const flush = ({ tenantId }: TestOrganisation) =>
      other.log.append(tenantId, async (tx) => ({
        events: await denials.flushDenials(tx),
        finish: () => undefined,
      }));

    test('the first is an entry, those that repeat within a minute are one more, counted', async () => {
      const { organisation, bob, artifact } = await sealed();
      const { tenantId } = organisation;
      await store.log.append(tenantId, async (tx) => {
        await capsules.revoke(tx, tenantId, artifact.artifactId, undefined);
        return { events: [], finish: () => undefined };
      });
      for (let i = 0; i < 5; i++) {
        await Promise.all(Array.from({ length: 8 }, () => ask(organisation, bob, [artifact.artifactId])));
      }
      expect(await logged(organisation, 'release.denied')).toMatchObject([{ code: 'revoked' }]);
      await flush(organisation);
      expect(await logged(organisation, 'release.denied')).toHaveLength(1);
      await passMinute(organisation);
      await flush(organisation);
      const entries = await logged(organisation, 'release.denied');
      expect(entries).toHaveLength(2);
      expect(entries[0]).not.toHaveProperty('repeats');
      expect(entries[1]).toMatchObject({
        actor: bob.address,
        subject: artifact.artifactId,
        code: 'revoked',
        repeats: 39,
      });
      await flush(organisation);
      expect(await logged(organisation, 'release.denied')).toHaveLength(2);
    });

    test('the next after the minute carries the count along', async () => {
      const { organisation, bob } = await sealed();
      const miss = () => ask(organisation, bob, [newArtifactId()]);
      await miss();
      await miss();
      await miss();
      await passMinute(organisation);
      await miss();
      const entries = await logged(organisation, 'release.denied');
      expect(entries.map(({ repeats }) => repeats)).toEqual([undefined, 2]);
    });

    test('made-up ids share one entry, so that they can not flood the log', async () => {
      const { organisation, bob } = await sealed();
      await ask(organisation, bob, Array.from({ length: 256 }, newArtifactId));
      const entries = await logged(organisation, 'release.denied');
      expect(entries).toHaveLength(1);
      expect(entries[0]).not.toHaveProperty('subject');
    });

    test('counts survive the server', async () => {
      const { organisation, bob } = await sealed();
      for (let i = 0; i < 4; i++) await ask(organisation, bob, [newArtifactId()]);
      process.kill(server.postgres.pid, 'SIGKILL');
      await server.postgres.exited;
      await server.restart();
      await passMinute(organisation);
      await flush(organisation);
      expect((await logged(organisation, 'release.denied')).map(({ repeats }) => repeats)).toEqual([
        undefined,
        3,
      ]);
    });
  });

  test('no plan for a release reads more than it asks for, whatever the statistics say', async () => {
    const { organisation, bob, artifact } = await sealed();
    const { tenantId } = organisation;
    const once = async (pool: GatewayStore) =>
      codeOf((await pool.releases.ask(tenantId, question(bob, [artifact.artifactId])))[0]);
    // Three or four blocks of each index and one of each table: 22 in all at this size.
    const MOST_BLOCKS = 30;
    // Ten times: from the sixth on PostgreSQL keeps one plan, made while the tables are all but empty.
    const early = database.open(1);
    for (let i = 0; i < 10; i++) expect(await once(early)).toBe('granted');
    await asSuperuser(
      `insert into artifacts (tenant_id, artifact_id, sealer, sealer_serial, labels, sealed_at, not_after, statement)
       select $1, substring(sha256(i::text::bytea) for 16), $2, 1, '{}', now(), now(), ''
       from generate_series(1, 20000) i`,
      [tenantId, person(organisation, ALICE).address],
    );
    await asSuperuser(
      `insert into capsules (tenant_id, capsule_id, artifact_id, address, key_id, kind, wrap, expires_at, listed_at)
       select tenant_id, gen_random_uuid(), artifact_id, $2, sha256('k'), 'person', '', now(), now()
       from artifacts where tenant_id = $1 and artifact_id <> $3`,
      [tenantId, bob.address, fromBase64Url(artifact.artifactId)],
    );
    const reads = async (): Promise<number> => {
      const client = new pg.Client({ ...server.postgres.superuser, database: database.owner.database });
      await client.connect();
      await client.query('select pg_stat_force_next_flush()').catch(() => undefined);
      const { rows } = await client.query<{ n: number }>(
        `select sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int as n
         from pg_statio_user_tables
         where relname in ('capsules', 'artifacts', 'people', 'certificates', 'approvals')`,
      );
      await client.end();
      return rows[0]?.n ?? 0;
    };
    const flush = (pool: GatewayStore) =>
      pool.transaction(tenantId, (tx) => tx.query('select pg_stat_force_next_flush()'));
    const readByTwenty = async (pool: GatewayStore): Promise<number> => {
      await flush(pool);
      const before = await reads();
      for (let i = 0; i < 20; i++) expect(await once(pool)).toBe('granted');
      await flush(pool);
      return (await reads()) - before;
    };
    expect(await readByTwenty(early)).toBeLessThan(20 * MOST_BLOCKS);
    // And by plans made now, for five requests and then for good, without statistics and with them.
    expect(await readByTwenty(database.open(1))).toBeLessThan(20 * MOST_BLOCKS);
    await asSuperuser('analyze');
    expect(await readByTwenty(database.open(1))).toBeLessThan(20 * MOST_BLOCKS);
  });

  test('a capsule of an address is the recovered one after a recovery', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    const [alice, bob] = [person(organisation, ALICE), person(organisation, BOB)];
    const artifact = await seal(store, organisation, alice, [bob]);
    const recovered = {
      id: parseCapsuleId(randomUUID()),
      address: alice.address as Address,
      keyId: alice.keyId,
      kind: 'person' as const,
      wrap: new Uint8Array([1, 2, 3]),
      links: [new Uint8Array([4])],
      expiresAt: new Date(Date.now() + 60_000),
    };
    expect(codeOf((await ask(organisation, alice, [artifact.artifactId]))[0])).toBe('not_found');
    await store.log.append(tenantId, async (tx) => {
      await capsules.addRecovered(tx, tenantId, artifact.artifactId, recovered);
      return { events: [], finish: () => undefined };
    });
    const release = granted((await ask(organisation, alice, [artifact.artifactId]))[0]);
    expect(release).toMatchObject({ id: recovered.id, wrap: recovered.wrap, links: recovered.links });
  });
});
