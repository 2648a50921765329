/**
 * What holds for every table of both databases. The tables are read from the catalogue, so a new one is tested as soon
 * as it is there.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from './database.ts';
import type { TestServer } from './gateway.fixture.ts';
import { SERVERS, startServer } from './gateway.fixture.ts';
import type { ProvisionedDatabase, StoreKind } from './index.ts';
import { migrate, provision } from './index.ts';

/** Tables that are of no tenant, and why that is right. */
const TENANTLESS: Readonly<Record<StoreKind, readonly string[]>> = {
  // The newest time that the database's clock showed: one for all.
  gateway: ['clock'],
  // Ids of service messages: random bytes of the one gateway.
  custody: ['message_ids'],
};

/** Tables that the service may add to and read, and nothing else: what stands there stays as it is. */
const INSERT_ONLY: Readonly<Record<StoreKind, readonly string[]>> = {
  gateway: ['audit_entries', 'checkpoints', 'domain_claims', 'log_nodes', 'policies', 'tenants'],
  custody: ['audit_entries', 'carried_out', 'log_nodes'],
};

const SERVICE_ROLES = { gateway: 'astis_gateway', custody: 'astis_custody' } as const;

async function withClient<T>(connection: Connection, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

const rowsOf = async (client: pg.Client, sql: string, values: unknown[] = []) =>
  (await client.query<Record<string, unknown>>(sql, values)).rows;

/** Everything that a migration can make, in the words of the catalogue. */
const SNAPSHOT = `
  select 'column' as what, c.relname || '.' || a.attname as name,
    format('%s %s %s', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) as def
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'S')
  union all select 'table', relname, format('%s %s %s %s %s', relrowsecurity, relforcerowsecurity, relacl, reloptions, relkind)
  from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')
  union all select 'constraint', conname, pg_get_constraintdef(oid) from pg_constraint
  where connamespace = 'public'::regnamespace
  union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
  union all select 'policy', tablename || '.' || policyname, format('%s %s %s %s', roles, cmd, qual, with_check)
  from pg_policies where schemaname = 'public'
  union all select 'function', proname, format('%s %s %s %s', prosrc, prosecdef, proconfig, proacl) from pg_proc
  where pronamespace = 'public'::regnamespace
  union all select 'schema', nspname, nspacl::text from pg_namespace where nspname = 'public'
  order by 1, 2, 3`;

const snapshot = (connection: Connection) =>
  withClient(connection, async (client) =>
    (await rowsOf(client, SNAPSHOT)).filter(({ name }) => !String(name).startsWith('kysely_')),
  );

interface Column {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
}

interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly checks: readonly string[];
  readonly rowSecurity: boolean;
  readonly forced: boolean;
  readonly policies: number;
  readonly primaryKey: string;
}

async function tablesOf(owner: Connection): Promise<readonly Table[]> {
  return withClient(owner, async (client) => {
    const { rows } = await client.query<Table>(`
      select c.relname as name, c.relrowsecurity as "rowSecurity", c.relforcerowsecurity as forced,
        (select count(*)::int from pg_policy p where p.polrelid = c.oid) as policies,
        (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'notNull', a.attnotnull, 'hasDefault', a.atthasdef) order by a.attnum)
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
        (select coalesce(json_agg(pg_get_constraintdef(k.oid)), '[]') from pg_constraint k
          where k.conrelid = c.oid and k.contype = 'c') as checks,
        (select pg_get_indexdef(i.indexrelid) from pg_index i where i.indrelid = c.oid and i.indisprimary) as "primaryKey"
      from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname not like 'kysely_%'
      order by 1`);
    return rows;
  });
}

/** A value that the column's type and checks take. */
function sample({ name, type }: Column, checks: readonly string[], tenant: string): unknown {
  if (name === 'tenant_id') return tenant;
  const check = checks.find((each) => new RegExp(`\\b${name}\\b`).test(each)) ?? '';
  const length = /length\(\w+\) = (\d+)/.exec(check)?.[1];
  const literal = /'([^']+)'::text/.exec(check)?.[1];
  if (type === 'bytea') return randomBytes(Number(length ?? 16));
  if (type === 'text') return literal ?? randomUUID();
  if (type === 'uuid') return randomUUID();
  if (type === 'jsonb') return '{}';
  if (type === 'boolean') return true;
  if (type === 'integer' || type === 'bigint') return 7;
  if (type.startsWith('timestamp')) return new Date();
  if (type.endsWith('[]')) return [];
  throw new Error(`no sample for the type ${type}: add one`);
}

const required = (table: Table) => table.columns.filter(({ notNull, hasDefault }) => notNull && !hasDefault);

/** One row of the table, as `insert` and its parameters. */
function insertion(table: Table, tenant: string): readonly [string, unknown[]] {
  const columns = required(table);
  const places = columns.map((_, i) => `$${i + 1}`).join(', ');
  return [
    `insert into ${table.name} (${columns.map(({ name }) => name).join(', ')}) values (${places})`,
    columns.map((column) => sample(column, table.checks, tenant)),
  ];
}

const REFUSED_RIGHT = '42501';

const refusal = (client: pg.Client, sql: string, values: unknown[] = []): Promise<string> =>
  client.query(sql, values).then(
    () => 'carried out',
    (error: unknown) =>
      error instanceof pg.DatabaseError ? (error.code ?? 'no code') : Promise.reject(error),
  );

describe.each(SERVERS)('%s', (_name, start) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(start);
  });
  afterAll(() => server.stop());

  describe.each(['gateway', 'custody'] as const)('the %s database', (kind) => {
    let database: ProvisionedDatabase;
    let tables: readonly Table[];
    const tenants = [randomUUID(), randomUUID()] as const;

    beforeAll(async () => {
      database = await provision(server.postgres.superuser, {
        database: kind,
        serviceRole: SERVICE_ROLES[kind],
        ownerPassword: 'owner',
        servicePassword: 'service',
      });
      await migrate(database.owner, kind);
      tables = await tablesOf(database.owner);
      const superuser = { ...server.postgres.superuser, database: kind };
      await withClient(superuser, async (client) => {
        // Rows are made one table at a time, so foreign keys would find nothing.
        await client.query("set session_replication_role = 'replica'");
        for (const table of tables) {
          if (TENANTLESS[kind].includes(table.name)) continue;
          for (const tenant of tenants) await client.query(...insertion(table, tenant));
        }
      });
    });

    const tenantTables = (): readonly Table[] =>
      tables.filter(({ name }) => !TENANTLESS[kind].includes(name));

    /** As the service, within a transaction of a tenant if one is named; undone in the end. */
    const asService = <T>(tenant: string | undefined, use: (client: pg.Client) => Promise<T>): Promise<T> =>
      withClient(database.service, async (client) => {
        await client.query('begin');
        if (tenant !== undefined) await client.query("select set_config('astis.tenant', $1, true)", [tenant]);
        const result = await use(client);
        await client.query('rollback');
        return result;
      });

    test('migrates forward twice, back and forward again to the same schema', async () => {
      const name = `${kind}_migrations`;
      const fresh = await provision(server.postgres.superuser, {
        database: name,
        serviceRole: SERVICE_ROLES[kind],
        ownerPassword: 'owner',
        servicePassword: 'service',
      });
      const before = await snapshot(fresh.owner);
      expect((await migrate(fresh.owner, kind)).every((line) => line.startsWith('Up '))).toBe(true);
      const first = await snapshot(fresh.owner);
      expect(first.length).toBeGreaterThan(before.length + 50);
      expect(await migrate(fresh.owner, kind)).toEqual([]);
      const back = await migrate(fresh.owner, kind, 'none');
      expect(back.length).toBeGreaterThan(0);
      expect(await snapshot(fresh.owner)).toEqual(before);
      await migrate(fresh.owner, kind);
      expect(await snapshot(fresh.owner)).toEqual(first);
    });

    test('two migrations at once end in one schema', async () => {
      const fresh = await provision(server.postgres.superuser, {
        database: `${kind}_twice`,
        serviceRole: SERVICE_ROLES[kind],
        ownerPassword: 'owner',
        servicePassword: 'service',
      });
      const done = await Promise.all([migrate(fresh.owner, kind), migrate(fresh.owner, kind)]);
      expect(done.flat().length).toBe(new Set(done.flat()).size);
      expect(await snapshot(fresh.owner)).toEqual(await snapshot(database.owner));
    });

    test('every table has a tenant, first in its key, and row-level security that binds its owner too', () => {
      expect(tenantTables().length).toBeGreaterThan(5);
      for (const table of tenantTables()) {
        expect(table, table.name).toMatchObject({ rowSecurity: true, forced: true });
        expect(table.policies, table.name).toBeGreaterThan(0);
        expect(table.columns.find(({ name }) => name === 'tenant_id')).toMatchObject({
          type: 'uuid',
          notNull: true,
        });
        // A domain is one tenant's in the whole database: there the domain is the key.
        if (table.name !== 'domain_claims') expect(table.primaryKey, table.name).toMatch(/\(tenant_id\b/);
      }
    });

    test('without a tenant nothing is seen, in any table', () =>
      asService(undefined, async (client) => {
        for (const { name } of tenantTables())
          expect(await rowsOf(client, `select from ${name}`), name).toEqual([]);
      }));

    test.each(['', randomUUID()])('with no tenant’s id (%s) nothing is seen, in any table', (tenant) =>
      asService(tenant, async (client) => {
        for (const { name } of tenantTables())
          expect(await rowsOf(client, `select from ${name}`), name).toEqual([]);
      }),
    );

    test('a tenant sees its own row of each table and no other', () =>
      asService(tenants[0], async (client) => {
        for (const { name } of tenantTables()) {
          expect(await rowsOf(client, `select tenant_id from ${name}`), name).toEqual([
            { tenant_id: tenants[0] },
          ]);
        }
      }));

    test('a tenant that ended with its transaction is not there in the next', () =>
      withClient(database.service, async (client) => {
        await client.query('begin');
        await client.query("select set_config('astis.tenant', $1, true)", [tenants[0]]);
        await client.query('commit');
        for (const { name } of tenantTables())
          expect(await rowsOf(client, `select from ${name}`), name).toEqual([]);
      }));

    test('a tenant can not write another’s rows, in any table', async () => {
      for (const table of tenantTables()) {
        const [insert, values] = insertion(table, tenants[1]);
        expect(await asService(tenants[0], (client) => refusal(client, insert, values)), table.name).toBe(
          REFUSED_RIGHT,
        );
        const moved = await asService(tenants[0], (client) =>
          refusal(client, `update ${table.name} set tenant_id = $1`, [tenants[1]]),
        );
        expect(moved, table.name).toBe(REFUSED_RIGHT);
        const deleted = await asService(tenants[0], (client) =>
          client.query(`delete from ${table.name} where tenant_id = $1`, [tenants[1]]).then(
            ({ rowCount }) => rowCount,
            (error: unknown) => (error instanceof pg.DatabaseError ? error.code : error),
          ),
        );
        expect([0, REFUSED_RIGHT], table.name).toContain(deleted);
      }
    });

    test('what is insert-only can be neither changed, deleted nor emptied, not even one’s own', async () => {
      const names = tables.map(({ name }) => name);
      for (const name of INSERT_ONLY[kind]) {
        expect(names).toContain(name);
        for (const sql of [
          `update ${name} set tenant_id = tenant_id`,
          `delete from ${name}`,
          `truncate ${name}`,
        ]) {
          expect(await asService(tenants[0], (client) => refusal(client, sql)), sql).toBe(REFUSED_RIGHT);
        }
      }
    });

    test('no table can be emptied or given triggers, and the log’s rows can not be replaced on conflict', async () => {
      for (const { name } of tables) {
        const rights = await asService(undefined, (client) =>
          rowsOf(
            client,
            `select has_table_privilege($1, 'truncate') as t, has_table_privilege($1, 'trigger') as g`,
            [name],
          ),
        );
        expect(rights, name).toEqual([{ t: false, g: false }]);
      }
      const replaced = await asService(tenants[0], (client) =>
        refusal(
          client,
          `insert into audit_entries select * from audit_entries
           on conflict (tenant_id, seq) do update set event = 'other'`,
        ),
      );
      expect(replaced).toBe(REFUSED_RIGHT);
    });

    test('the service can neither change the schema nor become somebody who can', async () => {
      const table = INSERT_ONLY[kind][0];
      for (const sql of [
        'create table mine (a int)',
        'create temporary table mine (a int)',
        `alter table ${table} disable row level security`,
        `alter table ${table} no force row level security`,
        `drop policy tenant_rows on ${table}`,
        `create policy mine on ${table} using (true)`,
        `drop table ${table}`,
        `set role ${SERVICE_ROLES[kind]}_owner`,
        'set role postgres',
        "set session_replication_role = 'replica'",
        `alter role ${SERVICE_ROLES[kind]} bypassrls`,
        "copy (select 1) to program 'true'",
        "select pg_read_file('/etc/passwd')",
      ]) {
        expect(await asService(tenants[0], (client) => refusal(client, sql)), sql).not.toBe('carried out');
      }
      const [role] = await asService(undefined, (client) =>
        rowsOf(
          client,
          'select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = current_user',
        ),
      );
      expect(role).toEqual({
        rolsuper: false,
        rolbypassrls: false,
        rolcreaterole: false,
        rolcreatedb: false,
      });
    });

    test('the roles of one database can not enter the other', async () => {
      const other = kind === 'gateway' ? 'custody' : 'gateway';
      const client = new pg.Client({ ...database.service, database: `${other}_migrations` });
      await expect(client.connect()).rejects.toThrow(/permission denied|does not exist/);
    });

    test('definer functions have a fixed search path and tell ids alone', async () => {
      const functions = await withClient(database.owner, (client) =>
        rowsOf(
          client,
          `select proname, proconfig::text as config, format_type(prorettype, null) as type from pg_proc
           where pronamespace = 'public'::regnamespace and prosecdef`,
        ),
      );
      for (const { proname, config, type } of functions) {
        expect(config, String(proname)).toMatch(/search_path=pg_catalog, ?public, ?pg_temp/);
        expect(['uuid', 'bigint', 'void'], String(proname)).toContain(type);
      }
      expect(functions.map(({ proname }) => proname).sort()).toEqual(
        kind === 'gateway' ? ['note_clock', 'tenant_of_person', 'tenants_to_attend'] : [],
      );
    });
  });
});
