/** Releases through the whole HTTPS path against a bare Fastify route, and the log against pgbench, on one PostgreSQL. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Address } from '@astis/protocol';
import { lookUp, prepareSealing } from '@astis/sdk';
import { Database, Sequencer } from '@astis/store';
import type { Member, Organisation, Stack } from '@astis/testkit';
import { freePort, newOrganisation, startProcess } from '@astis/testkit';
import pg from 'pg';
import { Agent } from 'undici';
import type { LoadResult, PreparedRequest } from './load.ts';
import { runLoad } from './load.ts';
import { requestSigner } from './signed-requests.ts';
import { median, spread } from './statistics.ts';

type Row = readonly string[];

const PINS = { get: () => undefined, set: () => undefined };

/** Stores `count` capsules of the member's own; returns the artifacts' ids. */
async function sealMany({ client, identity }: Member, count: number): Promise<readonly string[]> {
  const keys = await lookUp(client, [identity.address as Address], PINS);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const sealing = await prepareSealing(client, keys, { ttlSeconds: 7200, labels: [] });
    await sealing.register();
    ids.push(sealing.statement.artifactId);
  }
  return ids;
}

/** Copies one artifact and its capsule as often as it takes: rows as sealing makes them, without sealing. */
async function fill(stack: Stack, tenantId: string, total: number): Promise<void> {
  const client = new pg.Client({ ...stack.postgres.superuser, database: 'astis_gateway' });
  await client.connect();
  try {
    const { rows } = await client.query<{ n: number }>(
      'select count(*)::int as n from capsules where tenant_id = $1',
      [tenantId],
    );
    const missing = total - (rows[0]?.n ?? 0);
    if (missing <= 0) return;
    await client.query(
      "create temp table fresh as select decode(md5(random()::text || i), 'hex') as id from generate_series(1, $1) i",
      [missing],
    );
    await client.query(
      `insert into artifacts select a.tenant_id, f.id, a.sealer, a.sealer_serial, a.labels, a.sealed_at, a.not_after, a.statement, a.created_at
       from fresh f cross join (select * from artifacts where tenant_id = $1 limit 1) a`,
      [tenantId],
    );
    await client.query(
      `insert into capsules (tenant_id, capsule_id, artifact_id, address, key_id, kind, wrap, expires_at)
       select c.tenant_id, gen_random_uuid(), f.id, c.address, c.key_id, c.kind, c.wrap, c.expires_at
       from fresh f cross join (select * from capsules where tenant_id = $1 limit 1) c`,
      [tenantId],
    );
    await client.query('vacuum analyze artifacts, capsules');
  } finally {
    await client.end();
  }
}

const perSecond = (results: readonly LoadResult[]): number[] => results.map((result) => result.perSecond);
const latency = (results: readonly LoadResult[]): string =>
  `p50 ${median(results.map(({ p50 }) => p50)).toFixed(1)} ms, p99 ${median(results.map(({ p99 }) => p99)).toFixed(1)} ms`;

function checked(result: LoadResult): LoadResult {
  if (result.failed > 0)
    throw new Error(`${result.failed} requests failed, the first with ${result.firstFailure}`);
  return result;
}

/** pgbench: inserts of single rows, each its own durable commit. Returns commits a second. */
function pgbench(stack: Stack, folder: string, clients: number, seconds: number): number {
  const { host, port, user, password } = stack.postgres.superuser;
  writeFileSync(join(folder, 'insert.sql'), "insert into pgbench_rows (body) values (repeat('x', 300));\n");
  const args = [
    '-n',
    '-c',
    String(clients),
    '-j',
    '2',
    '-T',
    String(seconds),
    '-M',
    'prepared',
    '-f',
    join(folder, 'insert.sql'),
    'postgres',
  ];
  const { stdout, stderr, status } = spawnSync('/usr/lib/postgresql/15/bin/pgbench', args, {
    encoding: 'utf8',
    env: {
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PATH: process.env['PATH'] ?? '',
    },
  });
  const rate = /tps = ([\d.]+)/.exec(stdout)?.[1];
  if (status !== 0 || rate === undefined) throw new Error(`pgbench: ${stderr}`);
  return Number(rate);
}

/** Events appended through the sequencer itself, `callers` at once. */
async function appends(
  database: Database,
  tenantId: Member['identity']['tenant']['tenantId'],
  callers: number,
  count: number,
): Promise<number> {
  const log = new Sequencer(database);
  const job = async () => ({
    events: [{ kind: 'bench.event', actor: 'bench', subject: '', data: { body: 'x'.repeat(200) } }],
    finish: () => undefined,
  });
  let left = count;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (left-- > 0) await log.append(tenantId, job);
    }),
  );
  return count / ((performance.now() - started) / 1000);
}

export async function benchReleases(
  stack: Stack,
  folder: string,
  runs: number,
): Promise<{ readonly rows: readonly Row[]; readonly notes: readonly string[] }> {
  const rows: Row[] = [];
  const notes: string[] = [];
  const dispatcher = new Agent({ connect: { ca: stack.ca } });
  const organisation = await newOrganisation(stack, 'releases.test');
  const { admin } = organisation;
  const ids = await sealMany(admin, 256);

  const prepared = async (
    member: Member,
    artifacts: readonly string[],
    count: number,
  ): Promise<readonly PreparedRequest[]> => {
    const signer = await requestSigner(member, dispatcher);
    return Array.from({ length: count }, (_, i) =>
      signer.prepare('/v1/releases', { artifactId: artifacts[i % artifacts.length] }),
    );
  };
  const load = async (origin: string, connections: number, requests: readonly PreparedRequest[]) =>
    checked(await runLoad({ origin, ca: stack.ca, connections, requests }));

  const connection = join(folder, 'superuser.json');
  writeFileSync(connection, JSON.stringify(stack.postgres.superuser), { mode: 0o600 });
  const port = await freePort();
  const bare = await startProcess({
    name: 'bare route',
    script: join(import.meta.dirname, 'bare-server.ts'),
    args: [
      String(port),
      join(folder, 'stack/ca/gateway.pem'),
      join(folder, 'stack/ca/gateway-key.pem'),
      connection,
    ],
    env: {},
    logFile: join(folder, 'bare.log'),
    readyText: 'listening',
  });
  for (const [connections, count] of [
    [1, 1000],
    [16, 4000],
    [64, 8000],
  ] as const) {
    const ours: LoadResult[] = [];
    const theirs: LoadResult[] = [];
    for (let i = 0; i <= runs; i++) {
      const requests = await prepared(admin, ids, count);
      ours.push(await load(stack.url, connections, requests));
      theirs.push(await load(`https://localhost:${port}`, connections, requests));
    }
    const [a, b] = [ours.slice(1), theirs.slice(1)];
    rows.push([
      `single releases, ${connections} at once, against a bare Fastify route with one insert`,
      `${spread(perSecond(a))}/s; ${latency(a)}`,
      `${spread(perSecond(b))}/s; ${latency(b)}`,
      (median(perSecond(a)) / median(perSecond(b))).toFixed(2),
    ]);
  }
  await bare.stop();

  const superuser = new pg.Client(stack.postgres.superuser);
  await superuser.connect();
  await superuser.query(
    'create table if not exists pgbench_rows (id bigserial primary key, body text not null)',
  );
  await superuser.end();
  const inserts = Array.from({ length: runs }, () => pgbench(stack, folder, 64, 5));
  const batches: number[] = [];
  for (let i = 0; i <= runs; i++) {
    const signer = await requestSigner(admin, dispatcher);
    const requests = Array.from({ length: 100 }, () =>
      signer.prepare('/v1/releases/batch', { artifactIds: ids }),
    );
    batches.push((await load(stack.url, 8, requests)).perSecond * ids.length);
  }
  rows.push([
    'batched releases (256 a request, 8 at once) against pgbench single-row inserts, 64 clients',
    `${spread(batches.slice(1))}/s`,
    `${spread(inserts)}/s`,
    (median(batches.slice(1)) / median(inserts)).toFixed(2),
  ]);

  const database = new Database({ ...stack.postgres.superuser, database: 'astis_gateway' }, 8);
  const appended: number[] = [];
  for (let i = 0; i <= runs; i++)
    appended.push(await appends(database, admin.identity.tenant.tenantId, 512, 40_000));
  rows.push([
    'audit appends of one tenant (512 callers) against pgbench single-row inserts, 64 clients',
    `${spread(appended.slice(1))}/s`,
    `${spread(inserts)}/s`,
    (median(appended.slice(1)) / median(inserts)).toFixed(2),
  ]);
  await database.close();

  const byTenants: Record<number, number> = {};
  const others: Organisation[] = [];
  const members: { readonly member: Member; readonly ids: readonly string[] }[] = [{ member: admin, ids }];
  for (const tenants of [1, 10, 100]) {
    while (members.length < tenants) {
      const other = await newOrganisation(stack, `tenant${members.length}.test`);
      others.push(other);
      members.push({ member: other.admin, ids: await sealMany(other.admin, 1) });
    }
    const results: LoadResult[] = [];
    for (let i = 0; i <= runs; i++) {
      const each = Math.ceil(6000 / tenants);
      const lists = await Promise.all(
        members.slice(0, tenants).map(({ member, ids: own }) => prepared(member, own, each)),
      );
      const mixed = Array.from({ length: each }, (_, at) => lists.flatMap((list) => list[at] ?? [])).flat();
      results.push(await load(stack.url, 64, mixed));
    }
    byTenants[tenants] = median(perSecond(results.slice(1)));
    rows.push([
      `single releases, 64 at once, over ${tenants} tenant${tenants === 1 ? '' : 's'}, against one tenant`,
      `${spread(perSecond(results.slice(1)))}/s`,
      `${byTenants[1]?.toFixed(0)}/s`,
      ((byTenants[tenants] ?? 0) / (byTenants[1] ?? 1)).toFixed(2),
    ]);
  }

  const bySize: Record<number, number> = {};
  for (const size of [1000, 1_000_000]) {
    await fill(stack, admin.identity.tenant.tenantId, size);
    const results: LoadResult[] = [];
    for (let i = 0; i <= runs; i++) results.push(await load(stack.url, 64, await prepared(admin, ids, 6000)));
    bySize[size] = median(perSecond(results.slice(1)));
    rows.push([
      `single releases, 64 at once, with ${size.toLocaleString('en')} capsules stored, against 1,000`,
      `${spread(perSecond(results.slice(1)))}/s`,
      `${bySize[1000]?.toFixed(0)}/s`,
      ((bySize[size] ?? 0) / (bySize[1000] ?? 1)).toFixed(2),
    ]);
  }
  const memory = (pid: number) =>
    Number(
      /VmHWM:\s+(\d+)/.exec(spawnSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' }).stdout)?.[1] ?? 0,
    ) / 1024;
  notes.push(`Largest memory of the gateway over all of it: ${memory(stack.gateway.pid).toFixed(0)} MB.`);
  for (const { transport } of [organisation, ...others]) transport.close();
  await dispatcher.close();
  return { rows, notes };
}
