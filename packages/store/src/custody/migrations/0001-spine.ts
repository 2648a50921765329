import type { Migration } from 'kysely';
import { sql } from 'kysely';
import { logTablesDown, logTablesUp, tenantTable } from '../../log/schema.ts';

const ROLE = 'astis_custody';

const up = `
  grant usage on schema public to ${ROLE};

  -- Private keys, sealed under the root key. A destroyed key keeps its row and loses its secret.
  create table keys (
    tenant_id uuid not null,
    key_id bytea not null check (length(key_id) = 32),
    purpose text not null check (purpose in ('identity', 'checkpoint', 'organisation', 'holding')),
    address text not null,
    generation int not null,
    kem text,
    public_key bytea not null,
    sealed bytea,
    created_at timestamptz not null default clock_timestamp(),
    destroyed_at timestamptz,
    primary key (tenant_id, key_id)
  );
  create unique index keys_generation on keys (tenant_id, purpose, address, generation);
  ${tenantTable('keys', ROLE, 'select, insert, update')}

  create table tenants (
    tenant_id uuid primary key,
    name text not null,
    -- Of the gateway's log, whose checkpoints are signed here.
    log_origin text not null,
    order_hash bytea not null,
    first_admin text not null,
    first_enrolment_key bytea not null,
    first_enrolment_not_after timestamptz not null,
    next_serial int not null default 1,
    signed_size bigint not null default 0,
    signed_root bytea
  );
  ${tenantTable('tenants', ROLE, 'select, insert, update')}

  create table certificates (
    tenant_id uuid not null,
    serial int not null,
    address text not null,
    kind text not null,
    kem_key_id bytea not null,
    signing_key_id bytea,
    certificate bytea not null,
    ended_at timestamptz,
    -- Taken back by an admin, and not just followed by a newer one.
    revoked boolean not null default false,
    primary key (tenant_id, serial)
  );
  create unique index certificates_live on certificates (tenant_id, address) where ended_at is null;
  create index certificates_signing on certificates (tenant_id, signing_key_id);
  create index certificates_kem on certificates (tenant_id, kem_key_id);
  ${tenantTable('certificates', ROLE, 'select, insert, update')}

  -- Only the hash of a challenge's answer is kept.
  create table challenges (
    tenant_id uuid not null,
    kem_key_id bytea not null,
    answer_hash bytea not null,
    not_after timestamptz not null,
    primary key (tenant_id, kem_key_id)
  );
  ${tenantTable('challenges', ROLE, 'select, insert, update, delete')}

  -- Hashes of enrolments, revocations and orders that were carried out, with their result: never twice.
  create table carried_out (
    tenant_id uuid not null,
    object_hash bytea not null,
    result jsonb not null,
    at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, object_hash)
  );
  ${tenantTable('carried_out', ROLE, 'select, insert')}

  -- Ids of service messages, for as long as their time would let them pass again.
  create table message_ids (
    message_id bytea primary key,
    expires_at timestamptz not null
  );
  create index message_ids_expiry on message_ids (expires_at);
  -- Update is what "for update skip locked" asks for when old ids are taken away.
  grant select, insert, update, delete on message_ids to ${ROLE};

  ${logTablesUp(ROLE)}
`;

const down = `
  ${logTablesDown}
  drop table message_ids, carried_out, challenges, certificates, tenants, keys;
  revoke usage on schema public from ${ROLE};`;

export const spine: Migration = {
  async up(db) {
    await sql.raw(up).execute(db);
  },
  async down(db) {
    await sql.raw(down).execute(db);
  },
};
