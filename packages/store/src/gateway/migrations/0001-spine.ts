import type { Migration } from 'kysely';
import { sql } from 'kysely';
import { logTablesDown, logTablesUp, tenantTable } from '../../log/schema.ts';

const ROLE = 'astis_gateway';

const up = `
  grant usage on schema public to ${ROLE};

  create table tenants (
    tenant_id uuid primary key,
    name text not null,
    identity_key bytea not null check (length(identity_key) = 32),
    checkpoint_key text not null,
    order_hash bytea not null,
    created_at timestamptz not null default clock_timestamp()
  );
  ${tenantTable('tenants', ROLE, 'select, insert')}

  create table domains (
    tenant_id uuid not null,
    domain text not null,
    challenge text not null,
    verified_at timestamptz,
    primary key (tenant_id, domain)
  );
  ${tenantTable('domains', ROLE, 'select, insert, update, delete')}

  -- One row for each proved domain: who holds it is nobody else's business, that it is held shows in the conflict.
  create table domain_claims (
    domain text primary key,
    tenant_id uuid not null
  );
  ${tenantTable('domain_claims', ROLE, 'select, insert')}

  create table people (
    tenant_id uuid not null,
    person_id uuid not null,
    address text not null,
    kind text not null check (kind in ('person', 'service')),
    role text not null check (role in ('member', 'admin')),
    status text not null check (status in ('invited', 'active', 'removed')),
    groups text[] not null default '{}',
    hardware_backed boolean not null,
    outsider boolean not null,
    enrolment_key_id bytea not null,
    enrolment_not_after timestamptz not null,
    grant_object bytea,
    serial int,
    signing_key bytea,
    signing_key_id bytea,
    kem_key_id bytea,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, person_id)
  );
  create unique index people_address on people (tenant_id, address) where status <> 'removed';
  create index people_enrolment on people (tenant_id, enrolment_key_id);
  ${tenantTable('people', ROLE, 'select, insert, update')}

  -- Every certificate ever issued: old statements are checked against old certificates.
  create table certificates (
    tenant_id uuid not null,
    serial int not null,
    address text not null,
    kind text not null,
    kem_key_id bytea not null,
    certificate bytea not null,
    live boolean not null default true,
    primary key (tenant_id, serial)
  );
  create unique index certificates_live on certificates (tenant_id, address) where live;
  create index certificates_key on certificates (tenant_id, kem_key_id);
  ${tenantTable('certificates', ROLE, 'select, insert, update')}

  create table artifacts (
    tenant_id uuid not null,
    artifact_id bytea not null check (length(artifact_id) = 16),
    sealer text not null,
    sealer_serial int not null,
    labels text[] not null,
    sealed_at timestamptz not null,
    not_after timestamptz not null,
    statement bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, artifact_id)
  );
  create index artifacts_newest on artifacts (tenant_id, created_at, artifact_id);
  create index artifacts_sealer on artifacts (tenant_id, sealer, created_at, artifact_id);
  ${tenantTable('artifacts', ROLE, 'select, insert, update')}

  create table capsules (
    tenant_id uuid not null,
    capsule_id uuid not null,
    artifact_id bytea not null,
    address text not null,
    key_id bytea not null check (length(key_id) = 32),
    kind text not null check (kind in ('person', 'service', 'holding', 'organisation')),
    wrap bytea not null,
    links bytea[] not null default '{}',
    expires_at timestamptz not null,
    revoked_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    -- The artifact's created_at, which listings go by.
    listed_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, artifact_id, address),
    foreign key (tenant_id, artifact_id) references artifacts
  );
  create unique index capsules_id on capsules (tenant_id, capsule_id);
  create index capsules_rewrap on capsules (tenant_id, key_id, capsule_id) where kind in ('holding', 'organisation');
  -- An expression, so that the lookup of one capsule is never planned by this index; addresses are in lower case.
  create index capsules_address on capsules (tenant_id, lower(address), listed_at, artifact_id);
  create index capsules_holding on capsules (tenant_id, address, key_id) where kind = 'holding';
  ${tenantTable('capsules', ROLE, 'select, insert, update')}

  create table policies (
    tenant_id uuid not null,
    version int not null,
    document jsonb not null,
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, version)
  );
  ${tenantTable('policies', ROLE, 'select, insert')}

  create table approvals (
    tenant_id uuid not null,
    approval_id uuid not null,
    artifact_id bytea not null,
    requester text not null,
    action text not null check (action in ('release', 'recover')),
    status text not null check (status in ('pending', 'approved', 'denied')),
    requested_at timestamptz not null default clock_timestamp(),
    decided_by text,
    decided_at timestamptz,
    valid_until timestamptz,
    primary key (tenant_id, approval_id)
  );
  create index approvals_subject on approvals (tenant_id, artifact_id, requester, action, requested_at desc);
  create unique index approvals_pending on approvals (tenant_id, artifact_id, requester, action) where status = 'pending';
  ${tenantTable('approvals', ROLE, 'select, insert, update')}

  -- Ids of proofs and assertions that were used, for as long as they could be used again.
  create table proof_ids (
    tenant_id uuid not null,
    -- The first half of its SHA-256: ids are the clients' text, of any length and any characters.
    proof_hash bytea not null check (length(proof_hash) = 16),
    expires_at timestamptz not null,
    primary key (tenant_id, proof_hash)
  );
  create index proof_ids_expiry on proof_ids (tenant_id, expires_at);
  ${tenantTable('proof_ids', ROLE, 'select, insert, delete')}

  create table idempotency (
    tenant_id uuid not null,
    person_id uuid not null,
    key text not null,
    fingerprint bytea not null,
    status int,
    body text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, person_id, key)
  );
  create index idempotency_age on idempotency (tenant_id, created_at);
  ${tenantTable('idempotency', ROLE, 'select, insert, update, delete')}

  -- Denials that repeat within a minute are counted here and logged as one entry afterwards.
  create table denials (
    tenant_id uuid not null,
    address text not null,
    subject text not null,
    code text not null,
    window_end timestamptz not null,
    repeats int not null default 0,
    primary key (tenant_id, address, subject, code)
  );
  ${tenantTable('denials', ROLE, 'select, insert, update, delete')}

  create table rotations (
    tenant_id uuid not null,
    rotation_id uuid not null,
    from_key_id bytea not null,
    to_key_id bytea not null,
    status text not null check (status in ('running', 'done', 'failed')),
    total int not null,
    done int not null default 0,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    primary key (tenant_id, rotation_id)
  );
  ${tenantTable('rotations', ROLE, 'select, insert, update')}

  create table checkpoints (
    tenant_id uuid not null,
    size bigint not null,
    note text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, size)
  );
  ${tenantTable('checkpoints', ROLE, 'select, insert')}

  ${logTablesUp(ROLE)}

  -- The few questions that are not of one tenant. They answer ids and nothing else.
  create function tenant_of_person(person uuid) returns uuid
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
    as 'select tenant_id from public.people where person_id = person';
  create index people_person on people (person_id);
  create function tenants_to_attend() returns setof uuid
    language sql stable security definer set search_path = pg_catalog, public, pg_temp
    as 'select tenant_id from public.tenants';

  -- The latest time that this database's clock was seen to show, in milliseconds: a log that rests says nothing of a
  -- clock that steps back meanwhile. It only grows, and the service can't put it back.
  create table clock (
    only_row boolean primary key default true check (only_row),
    latest_ms bigint not null
  ) with (fillfactor = 10);
  insert into clock (latest_ms) values (0);
  grant select on clock to ${ROLE};
  create function note_clock() returns void
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp
    as 'update public.clock set latest_ms = greatest(latest_ms, floor(extract(epoch from clock_timestamp()) * 1000)::bigint)';

  revoke all on function tenant_of_person(uuid), tenants_to_attend(), note_clock() from public;
  grant execute on function tenant_of_person(uuid), tenants_to_attend(), note_clock() to ${ROLE};
`;

// Forced row security binds the tables' owner too, whose rights the definer functions have: the owner sees all rows.
const ownerSees = ['people', 'tenants']
  .map((table) => `create policy owner_reads on ${table} for select to current_user using (true);`)
  .join('\n');

const down = `
  drop function note_clock();
  drop function tenants_to_attend();
  drop function tenant_of_person(uuid);
  drop table clock;
  ${logTablesDown}
  drop table checkpoints, rotations, denials, idempotency, proof_ids, approvals, policies, capsules, artifacts,
    certificates, people, domain_claims, domains, tenants;
  revoke usage on schema public from ${ROLE};`;

export const spine: Migration = {
  async up(db) {
    await sql.raw(up).execute(db);
    await sql.raw(ownerSees).execute(db);
  },
  async down(db) {
    await sql.raw(down).execute(db);
  },
};
