/** The tables of a log, the same in every database that keeps one. */

/** Row-level security and rights of one table, for the service's role. */
export function tenantTable(table: string, role: string, rights: string): string {
  return `
    alter table ${table} enable row level security;
    alter table ${table} force row level security;
    create policy tenant_rows on ${table}
      using (tenant_id = nullif(current_setting('astis.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('astis.tenant', true), '')::uuid);
    grant ${rights} on ${table} to ${role};`;
}

export const logTablesUp = (role: string): string => `
  create table log_heads (
    tenant_id uuid primary key,
    log_origin text not null,
    size bigint not null default 0,
    time_ms bigint not null default 0,
    last_hash bytea not null,
    frontier bytea not null default ''
  ) with (fillfactor = 50);
  ${tenantTable('log_heads', role, 'select, insert, update')}

  -- Insert-only for the service. Redaction (event and salt taken out by the owner) keeps the commitment.
  create table audit_entries (
    tenant_id uuid not null,
    seq bigint not null,
    time_ms bigint not null,
    commitment bytea not null check (length(commitment) = 32),
    leaf_hash bytea not null check (length(leaf_hash) = 32),
    salt bytea,
    event text,
    kind text not null,
    actor text not null,
    subject text not null,
    primary key (tenant_id, seq)
  );
  create index audit_entries_subject on audit_entries (tenant_id, subject, seq);
  ${tenantTable('audit_entries', role, 'select, insert')}

  create table log_nodes (
    tenant_id uuid not null,
    level int not null,
    index bigint not null,
    hash bytea not null check (length(hash) = 32),
    primary key (tenant_id, level, index)
  );
  ${tenantTable('log_nodes', role, 'select, insert')}

  -- Begins a batch: enters the tenant, waits for the lock on its log's head, then reads the clock. It runs with the
  -- caller's rights, so row-level security holds. No row when there is no such log.
  create function lock_log(tenant uuid, out log_origin text, out size bigint, out time_ms bigint, out last_hash bytea,
    out frontier bytea, out now_ms bigint) returns setof record
    language plpgsql volatile
    as $$
    begin
      perform set_config('astis.tenant', tenant::text, true);
      select h.log_origin, h.size, h.time_ms, h.last_hash, h.frontier
        into log_origin, size, time_ms, last_hash, frontier
        from public.log_heads h where h.tenant_id = tenant for update;
      if found then
        now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
        return next;
      end if;
    end $$;
  revoke all on function lock_log(uuid) from public;
  grant execute on function lock_log(uuid) to ${role};`;

export const logTablesDown = `
  drop function lock_log(uuid);
  drop table log_nodes, audit_entries, log_heads;`;
