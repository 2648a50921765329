import { randomUUID } from 'node:crypto';
import type { ExportReport, KnownFacts } from '@astis/audit';
import {
  checkpointText,
  consistencyProof,
  ExportVerifier,
  exportEndLine,
  exportEntryLine,
  exportHeaderLine,
  inclusionProof,
  rootAt,
  rootOf,
  signNote,
  verifyConsistency,
  verifyInclusion,
} from '@astis/audit';
import type { TenantId } from '@astis/protocol';
import { ProblemError, parseAddress } from '@astis/protocol';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Tx } from '../database.ts';
import { Database } from '../database.ts';
import type { TestDatabase, TestOrganisation, TestServer } from '../gateway.fixture.ts';
import {
  gatewayDatabase,
  newOrganisation,
  newTenantId,
  noteKey,
  RECEIPT_KEY,
  SERVERS,
  startServer,
} from '../gateway.fixture.ts';
import type { GatewayStore } from '../index.ts';
import { listEntries, logSize, nodeReader, streamEntries, tenants } from '../index.ts';
import type { Event, JobOutcome } from './sequencer.ts';
import { Sequencer } from './sequencer.ts';

const ACTOR = parseAddress('alice@test.test');
const event = (subject: string, data: Event['data'] = {}): Event => ({
  kind: 'test.happened',
  actor: ACTOR,
  subject,
  data,
});
const outcome = <T>(events: readonly Event[], result: T): JobOutcome<T> => ({ events, finish: () => result });

/** A write by which a job can be recognised. */
const write = (tx: Tx, tenantId: TenantId, name: string) => tenants.addDomain(tx, tenantId, `${name}.test`);

describe.each(SERVERS)('%s', (_name, start) => {
  let server: TestServer;
  let database: TestDatabase;
  let store: GatewayStore;
  /** Another gateway process, for all that the database can tell. */
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

  const domains = (tenantId: TenantId) =>
    store.transaction(tenantId, async (tx) =>
      (await tenants.listDomains(tx, tenantId)).map(({ domain }) => domain),
    );

  /** The offline verifier's report on the whole log, as it would be exported. */
  async function verify(
    { tenantId, origin }: TestOrganisation,
    known: KnownFacts = {},
  ): Promise<ExportReport> {
    const key = noteKey(origin);
    const log = await store.transaction(tenantId, (tx) => logSize(tx, tenantId));
    const note = signNote(checkpointText(origin, log.size, rootOf(log)), [key.signing]);
    const verifier = new ExportVerifier(
      { checkpointKeys: [key.verifier], receiptKeys: [RECEIPT_KEY.verifier] },
      { tenant: tenantId, origin, ...known },
    );
    verifier.push(
      exportHeaderLine({ kind: 'full', tenant: tenantId, from: 0, to: log.size, checkpoint: note }),
    );
    for await (const entry of streamEntries(store.database, tenantId, 0, log.size))
      verifier.push(exportEntryLine(entry));
    verifier.push(exportEndLine(log.size));
    return verifier.end();
  }

  test('jobs of two processes never fork the chain, and each has its entries in one piece', async () => {
    const organisations = [await newOrganisation(store), await newOrganisation(store)];
    const jobs = Array.from({ length: 400 }, async (_, i) => {
      const tenantId = (organisations[i % 2] as TestOrganisation).tenantId;
      const sequencer = i % 3 === 0 ? other.log : store.log;
      const count = i % 4;
      return sequencer.append(tenantId, async (tx) => {
        if (i % 5 === 0) await write(tx, tenantId, `job${i}`);
        const events = Array.from({ length: count }, (_unused, part) => event(`job-${i}`, { part }));
        return { events, finish: (entries) => entries.map(({ seq }) => seq) };
      });
    });
    const seqs = await Promise.all(jobs);
    for (const [tenant, organisation] of organisations.entries()) {
      const own = seqs.filter((_, i) => i % 2 === tenant);
      expect(own.flat().toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: own.flat().length }, (_, i) => i),
      );
      for (const [first, ...rest] of own) {
        for (const [i, seq] of rest.entries()) expect(seq).toBe((first ?? 0) + i + 1);
      }
      const report = await verify(organisation);
      expect(report.findings).toEqual([]);
      expect(report.entries).toBe(own.flat().length);
    }
  });

  test('a job that throws leaves nothing behind and takes nobody along', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    const kept = Array.from({ length: 20 }, (_, i) =>
      store.log.append(tenantId, async (tx) => {
        await write(tx, tenantId, `kept${i}`);
        return outcome([event(`kept-${i}`)], i);
      }),
    );
    const broken = Array.from({ length: 20 }, (_, i) =>
      store.log.append(tenantId, async (tx) => {
        await write(tx, tenantId, `broken${i}`);
        if (i % 2 === 0) throw new ProblemError('forbidden', `no ${i}`);
        await tx.query('select 1 / 0');
        return outcome([event('never')], undefined);
      }),
    );
    const answers = await Promise.allSettled(broken);
    expect(await Promise.all(kept)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    for (const [i, answer] of answers.entries()) {
      expect(answer).toMatchObject({
        status: 'rejected',
        reason: i % 2 === 0 ? { code: 'forbidden', message: `no ${i}` } : { code: '22012' },
      });
    }
    const names = await domains(tenantId);
    expect(names.filter((name) => name.startsWith('kept'))).toHaveLength(20);
    expect(names.filter((name) => name.startsWith('broken'))).toEqual([]);
    expect(await verify(organisation)).toMatchObject({ ok: true, entries: 20 });
  });

  test('a job that swallows the refusal of a statement does not pass for done', async () => {
    const { tenantId } = await newOrganisation(store);
    const alone = store.log.append(tenantId, async (tx) => {
      await write(tx, tenantId, 'swallowed');
      await tx.query('select 1 / 0').catch(() => undefined);
      return outcome([], 'done');
    });
    await expect(alone).rejects.toMatchObject({ code: 'audit_unavailable' });
    await expect(
      store.transaction(tenantId, async (tx) => {
        await write(tx, tenantId, 'swallowed');
        await tx.query('select 1 / 0').catch(() => undefined);
      }),
    ).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await domains(tenantId)).not.toContain('swallowed.test');
  });

  test('more jobs that write than a transaction has room for all get their turn, in order', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 150 }, (_, i) =>
        store.log.append(tenantId, async (tx) => {
          order.push(i);
          await write(tx, tenantId, `many${i}`);
          return outcome([event(`many-${i}`)], undefined);
        }),
      ),
    );
    expect(order).toEqual(Array.from({ length: 150 }, (_, i) => i));
    expect(await verify(organisation)).toMatchObject({ ok: true, entries: 150 });
  });

  test('an event that the log can not take fails its batch with nothing written', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    await expect(
      store.log.append(tenantId, async (tx) => {
        await write(tx, tenantId, 'too-long');
        return outcome([event('x', { text: 'x'.repeat(70_000) })], undefined);
      }),
    ).rejects.toMatchObject({ code: 'audit_unavailable' });
    expect(await domains(tenantId)).not.toContain('too-long.test');
    expect(await verify(organisation)).toMatchObject({ ok: true, entries: 0 });
  });

  test('there is no log of a tenant that is not there', async () => {
    await expect(store.log.append(newTenantId(), async () => outcome([], 1))).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  test('transactions that deadlock with jobs are carried out again, and so are the jobs', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    const lock = (tx: Tx, name: string) =>
      tx.query('select from domains where tenant_id = $1 and domain = $2 for update', [
        tenantId,
        `${name}.test`,
      ]);
    await store.transaction(tenantId, async (tx) => {
      await write(tx, tenantId, 'one');
      await write(tx, tenantId, 'two');
    });
    let runs = 0;
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const meet = async (mine: 0 | 1): Promise<void> => {
      gates[mine].resolve();
      await gates[1 - mine]?.promise;
    };
    const neighbour = store.log.append(tenantId, async () => outcome([event('neighbour')], 'neighbour'));
    const job = store.log.append(tenantId, async (tx) => {
      runs++;
      await lock(tx, 'one');
      await meet(0);
      await lock(tx, 'two');
      return outcome([event('job')], 'job');
    });
    const transaction = other.transaction(tenantId, async (tx) => {
      runs++;
      await lock(tx, 'two');
      await meet(1);
      await lock(tx, 'one');
      return 'transaction';
    });
    expect(await Promise.all([neighbour, job, transaction])).toEqual(['neighbour', 'job', 'transaction']);
    // PostgreSQL gives up one of the two, or on a slow machine each once: whoever was given up runs again.
    expect(runs).toBeGreaterThanOrEqual(3);
    expect(await verify(organisation)).toMatchObject({ ok: true, entries: 2 });
  });

  test('times never decrease, though the newest entry is of the future', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    await store.log.append(tenantId, async () => outcome([event('first')], undefined));
    const future = Date.now() + 3_600_000;
    const owner = new pg.Client(database.owner);
    await owner.connect();
    await owner.query("select set_config('astis.tenant', $1, false)", [tenantId]);
    await owner.query('update log_heads set time_ms = $2 where tenant_id = $1', [tenantId, future]);
    await owner.end();
    const seen = await store.log.append(tenantId, async (tx) =>
      outcome([event('second'), event('third')], { nowMs: tx.nowMs, lastTimeMs: tx.lastTimeMs }),
    );
    expect(seen.lastTimeMs).toBe(future);
    expect(seen.nowMs).toBeLessThan(future);
    const entries = await store.transaction(tenantId, (tx) =>
      listEntries(tx, tenantId, {}, { limit: 10, newestFirst: false }),
    );
    expect(entries.slice(1).map(({ timeMs }) => timeMs)).toEqual([future, future]);
    expect(await verify(organisation)).toMatchObject({ ok: true, entries: 3 });
  });

  test('proofs between any two sizes of a log that grew by batches of any size', async () => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.nat(), async (count, any) => {
        const events = Array.from({ length: count }, (_, i) => event(`e-${i}`));
        const batch = await store.log.append(tenantId, async () => ({ events, finish: (_, all) => all }));
        await store.transaction(tenantId, async (tx) => {
          const size = batch.head.size;
          const nodes = nodeReader(tx, tenantId);
          expect(await rootAt(nodes, size)).toEqual(batch.root);
          const old = 1 + (any % size);
          const oldRoot = await rootAt(nodes, old);
          const proof = await consistencyProof(nodes, old, size);
          expect(verifyConsistency(old, size, oldRoot, batch.root, proof)).toBe(true);
          const entry = batch.entries[count >> 1];
          if (entry === undefined) throw new Error('no entry');
          const path = await inclusionProof(nodes, entry.seq, size);
          expect(path).toEqual(batch.inclusionProof(entry.seq));
          expect(verifyInclusion(entry.leafHash, entry.seq, size, path, batch.root)).toBe(true);
        });
      }),
      { numRuns: 12 },
    );
    expect((await verify(organisation)).findings).toEqual([]);
  });

  test.each([
    [
      'changed',
      "update audit_entries set event = replace(event, 'e-3', 'e-4') where tenant_id = $1 and seq = 3",
    ],
    ['deleted', 'delete from audit_entries where tenant_id = $1 and seq = 3'],
    ['moved', 'update audit_entries set time_ms = time_ms + 1 where tenant_id = $1 and seq = 3'],
    ['re-salted', 'update audit_entries set salt = sha256(salt) where tenant_id = $1 and seq = 3'],
  ])('an entry that was %s behind the store’s back is found by the verifier', async (_what, sql) => {
    const organisation = await newOrganisation(store);
    const { tenantId } = organisation;
    const events = Array.from({ length: 10 }, (_, i) => event(`e-${i}`));
    await store.log.append(tenantId, async () => outcome(events, undefined));
    expect((await verify(organisation)).findings).toEqual([]);
    const superuser = new pg.Client({ ...server.postgres.superuser, database: database.owner.database });
    await superuser.connect();
    await superuser.query(sql, [tenantId]);
    await superuser.end();
    expect((await verify(organisation)).ok).toBe(false);
  });

  test('filters and pages give each entry once, newest first, though entries are added between pages', async () => {
    const { tenantId } = await newOrganisation(store);
    const kinds = ['release.granted', 'release.denied'];
    const add = (from: number, to: number) =>
      store.log.append(tenantId, async () =>
        outcome(
          Array.from({ length: to - from }, (_, k) => ({
            kind: kinds[(from + k) % 2] ?? '',
            actor: `actor${(from + k) % 3}@test.test`,
            subject: `subject${(from + k) % 5}`,
          })),
          undefined,
        ),
      );
    await add(0, 60);
    const seen: number[] = [];
    let before: number | undefined;
    for (;;) {
      const at = before === undefined ? {} : { before };
      const page = await store.transaction(tenantId, (tx) =>
        listEntries(
          tx,
          tenantId,
          { kind: 'release.denied', actor: 'actor1@test.test' },
          { ...at, limit: 4, newestFirst: true },
        ),
      );
      if (page.length === 0) break;
      for (const entry of page) expect(entry.kind).toBe('release.denied');
      seen.push(...page.map(({ seq }) => seq));
      before = page.at(-1)?.seq;
      await add(60 + seen.length, 66 + seen.length);
    }
    const expected = Array.from({ length: 60 }, (_, i) => i).filter((i) => i % 2 === 1 && i % 3 === 1);
    expect(seen).toEqual(expected.toReversed());
    const bySubject = await store.transaction(tenantId, (tx) =>
      listEntries(tx, tenantId, { subject: 'subject4' }, { limit: 100, newestFirst: false }),
    );
    expect(bySubject.slice(0, 12).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 12 }, (_, i) => 4 + 5 * i),
    );
  });

  describe('when the server is away', () => {
    test('jobs are refused with audit_unavailable, transactions with store_unavailable', async () => {
      const down = { ...database.service, host: '/nowhere' };
      const gone = new Database(down, 2);
      const sequencer = new Sequencer(gone);
      await expect(sequencer.append(newTenantId(), async () => outcome([], 1))).rejects.toMatchObject({
        code: 'audit_unavailable',
      });
      await expect(gone.transaction(newTenantId(), async () => 1)).rejects.toMatchObject({
        code: 'store_unavailable',
      });
      await gone.close();
    });

    test('a wrong password is told to the caller as store_unavailable, without the server’s words', async () => {
      const locked = new Database({ ...database.service, password: 'wrong' }, 2);
      const error = await locked.transaction(newTenantId(), async () => 1).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ProblemError);
      expect(String(error)).not.toMatch(/password/);
      await locked.close();
    });

    test('a connection cut within a batch refuses every job of it, and the next batch goes on', async () => {
      const organisation = await newOrganisation(store);
      const { tenantId } = organisation;
      const cut = async (tx: Tx): Promise<void> => {
        const [row] = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
        const superuser = new pg.Client(server.postgres.superuser);
        await superuser.connect();
        await superuser.query('select pg_terminate_backend($1)', [row?.pid]);
        await superuser.end();
      };
      const answers = await Promise.allSettled([
        store.log.append(tenantId, async (tx) => {
          await write(tx, tenantId, 'before');
          return outcome([event('before')], undefined);
        }),
        store.log.append(tenantId, async (tx) => {
          await cut(tx);
          return outcome([event('cut')], undefined);
        }),
        store.log.append(tenantId, async () => outcome([event('after')], undefined)),
      ]);
      for (const answer of answers)
        expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'audit_unavailable' } });
      expect(await store.log.append(tenantId, async () => outcome([event('next')], 'next'))).toBe('next');
      expect(await domains(tenantId)).not.toContain('before.test');
      expect(await verify(organisation)).toMatchObject({ ok: true, entries: 1 });
    });

    test('a connection that is cut in the commit gives no result, whatever became of the commit', async () => {
      const organisation = await newOrganisation(store);
      const { tenantId } = organisation;
      const answers: string[] = [];
      // A deferred trigger runs within the commit: there the server ends the connection. The trigger's table has no
      // tenant, and it is gone with the test.
      const owner = new pg.Client({ ...server.postgres.superuser, database: database.owner.database });
      await owner.connect();
      await owner.query(`
        create function cut_in_commit() returns trigger language plpgsql security definer as
          $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
        create constraint trigger cut_in_commit after insert on audit_entries deferrable initially deferred
          for each row when (new.subject = 'cut-in-commit') execute function cut_in_commit()`);
      await store.log
        .append(tenantId, async (tx) => {
          await write(tx, tenantId, 'in-commit');
          return outcome([event('cut-in-commit')], undefined);
        })
        .then(
          () => answers.push('result'),
          (error: unknown) => answers.push(error instanceof ProblemError ? error.code : String(error)),
        );
      await owner.query('drop trigger cut_in_commit on audit_entries; drop function cut_in_commit()');
      await owner.end();
      expect(answers).toEqual(['audit_unavailable']);
      expect((await verify(organisation)).findings).toEqual([]);
    });

    test('what was answered is there after the server was killed, and the store goes on by itself', async () => {
      const organisation = await newOrganisation(store);
      const { tenantId } = organisation;
      const answered: string[] = [];
      let stop = false;
      const workers = Array.from({ length: 8 }, async () => {
        while (!stop) {
          const name = randomUUID();
          await store.log
            .append(tenantId, async (tx) => {
              await write(tx, tenantId, name);
              return outcome([event(name)], name);
            })
            .then(
              (done) => answered.push(done),
              (error: unknown) => {
                if (!(error instanceof ProblemError) || error.code !== 'audit_unavailable') throw error;
              },
            );
        }
      });
      while (answered.length < 200) await new Promise((next) => setImmediate(next));
      process.kill(server.postgres.pid, 'SIGKILL');
      await server.postgres.exited;
      await server.restart();
      const before = answered.length;
      while (answered.length < before + 50) await new Promise((next) => setImmediate(next));
      stop = true;
      await Promise.all(workers);
      const names = new Set(await domains(tenantId));
      const subjects = new Set<string>();
      for await (const entry of streamEntries(store.database, tenantId, 0, 1_000_000)) {
        const parsed: { subject?: string } = JSON.parse(entry.disclosed?.event ?? '{}');
        subjects.add(parsed.subject ?? '');
      }
      for (const name of answered) {
        expect(names.has(`${name}.test`)).toBe(true);
        expect(subjects.has(name)).toBe(true);
      }
      // And no write without its entry, answered or not.
      for (const name of names) {
        if (/^[0-9a-f-]{36}\.test$/.test(name) && !name.startsWith(tenantId))
          expect(subjects.has(name.replace('.test', ''))).toBe(true);
      }
      expect((await verify(organisation)).findings).toEqual([]);
    });
  });
});
