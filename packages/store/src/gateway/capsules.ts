/** Artifacts (the sealers' statements) and capsules (the wraps, one for each recipient). */
import type { Address, ArtifactId, CapsuleId, KeyId, SubjectKind, TenantId } from '@astis/protocol';
import { equalBytes, ProblemError } from '@astis/protocol';
import type { Parameter, Tx } from '../database.ts';
import type { Listing } from './rows.ts';
import { addressOf, artifactIdOf, bytes, idBytes, keyIdOf, pageOf } from './rows.ts';

export interface ArtifactRecord {
  readonly artifactId: ArtifactId;
  readonly sealer: Address;
  readonly sealerSerial: number;
  readonly labels: readonly string[];
  readonly sealedAt: Date;
  readonly notAfter: Date;
  readonly statement: Uint8Array;
}

export interface CapsuleRecord {
  readonly id: CapsuleId;
  readonly artifactId: ArtifactId;
  readonly address: Address;
  readonly keyId: KeyId;
  readonly kind: SubjectKind;
  readonly status: 'live' | 'expired' | 'revoked';
  readonly expiresAt: Date;
  readonly createdAt: Date;
  readonly releases: number;
  readonly lastReleasedAt: Date | undefined;
}

export interface NewCapsule {
  readonly id: CapsuleId;
  readonly address: Address;
  readonly keyId: KeyId;
  readonly kind: SubjectKind;
  readonly wrap: Uint8Array;
}

interface ArtifactRow {
  readonly artifact_id: Buffer;
  readonly sealer: string;
  readonly sealer_serial: number;
  readonly labels: string[];
  readonly sealed_at: Date;
  readonly not_after: Date;
  readonly statement: Buffer;
  readonly cursor: string;
}

const artifactOf = (row: ArtifactRow): ArtifactRecord => ({
  artifactId: artifactIdOf(row.artifact_id),
  sealer: addressOf(row.sealer),
  sealerSerial: row.sealer_serial,
  labels: row.labels,
  sealedAt: row.sealed_at,
  notAfter: row.not_after,
  statement: bytes(row.statement),
});

const NO_ARTIFACT = 'There is no such artifact here, or it is not for you.';

/**
 * Stores an artifact's statement and capsules. False when the very same statement stands there already, so that a
 * sealer may repeat a request whose answer was lost.
 */
export async function createArtifact(
  tx: Tx,
  tenantId: TenantId,
  artifact: ArtifactRecord,
  capsules: readonly NewCapsule[],
): Promise<boolean> {
  const [stored] = await tx.query<{ n: number }>(
    `with artifact as (
       insert into artifacts (tenant_id, artifact_id, sealer, sealer_serial, labels, sealed_at, not_after, statement)
       values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning created_at
     ), capsule as (
       insert into capsules
         (tenant_id, capsule_id, artifact_id, address, key_id, kind, wrap, expires_at, created_at, listed_at)
       select $1, c.id, $2, c.address, decode(c.key_id, 'hex'), c.kind, decode(c.wrap, 'hex'), $7,
         artifact.created_at, artifact.created_at
       from artifact, unnest($9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[])
         as c(id, address, key_id, kind, wrap)
     )
     select count(*) as n from artifact`,
    [
      tenantId,
      idBytes(artifact.artifactId),
      artifact.sealer,
      artifact.sealerSerial,
      artifact.labels,
      artifact.sealedAt,
      artifact.notAfter,
      artifact.statement,
      capsules.map((capsule) => capsule.id),
      capsules.map((capsule) => capsule.address),
      capsules.map((capsule) => Buffer.from(idBytes(capsule.keyId)).toString('hex')),
      capsules.map((capsule) => capsule.kind),
      capsules.map((capsule) => Buffer.from(capsule.wrap).toString('hex')),
    ],
    'artifact.insert',
  );
  if (stored?.n === 1) return true;
  const known = await getArtifact(tx, tenantId, artifact.artifactId);
  if (equalBytes(known.statement, artifact.statement)) return false;
  throw new ProblemError('already_exists', 'Another statement was stored for this artifact; seal it anew.');
}

export async function getArtifact(tx: Tx, tenantId: TenantId, id: ArtifactId): Promise<ArtifactRecord> {
  const [row] = await tx.query<ArtifactRow>(
    "select *, '' as cursor from artifacts where tenant_id = $1 and artifact_id = $2",
    [tenantId, idBytes(id)],
  );
  if (row === undefined) throw new ProblemError('not_found', NO_ARTIFACT);
  return artifactOf(row);
}

interface CapsuleRow {
  readonly capsule_id: CapsuleId;
  readonly artifact_id: Buffer;
  readonly address: string;
  readonly key_id: Buffer;
  readonly kind: SubjectKind;
  readonly status: 'live' | 'expired' | 'revoked';
  readonly expires_at: Date;
  readonly created_at: Date;
  readonly releases: number;
  readonly last_released_at: Date | null;
}

/** Capsules of artifacts with how often each was released, which only the log knows. */
export async function listCapsules(
  tx: Tx,
  tenantId: TenantId,
  artifacts: readonly ArtifactId[],
  only?: Address,
): Promise<readonly CapsuleRecord[]> {
  const rows = await tx.query<CapsuleRow>(
    `select c.capsule_id, c.artifact_id, c.address, c.key_id, c.kind, c.expires_at, c.created_at,
       case when c.revoked_at is not null then 'revoked'
         when c.expires_at <= clock_timestamp() then 'expired' else 'live' end as status,
       r.releases, r.last_released_at
     from unnest($2::text[]) as a(id)
     join capsules c on c.tenant_id = $1 and c.artifact_id = decode(a.id, 'hex')
     left join lateral (
       select count(*)::int as releases, to_timestamp(max(e.time_ms) / 1000.0) as last_released_at
       from audit_entries e
       where e.tenant_id = $1 and e.kind = 'release.granted' and e.actor = c.address
         and e.subject = rtrim(translate(encode(c.artifact_id, 'base64'), '+/', '-_'), '=')
     ) r on true
     where $3::text is null or c.address = $3
     order by c.artifact_id, c.address`,
    [tenantId, artifacts.map((id) => Buffer.from(idBytes(id)).toString('hex')), only ?? null],
  );
  return rows.map((row) => ({
    id: row.capsule_id,
    artifactId: artifactIdOf(row.artifact_id),
    address: addressOf(row.address),
    keyId: keyIdOf(row.key_id),
    kind: row.kind,
    status: row.status,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    releases: row.releases,
    lastReleasedAt: row.last_released_at ?? undefined,
  }));
}

/** Microseconds since 1970 and the artifact's id in hex: PostgreSQL's times are finer than JavaScript's. */
function cursorParts(cursor: string): { readonly micros: string; readonly id: string } {
  const [, micros, id] = /^(\d{1,17})~([0-9a-f]{32})$/.exec(cursor) ?? [];
  if (micros === undefined || id === undefined)
    throw new ProblemError('invalid_request', 'The cursor is not one of ours.');
  return { micros, id };
}

/** Newest first. `visibleTo`: only what this address sealed or received. */
export async function listArtifacts(
  tx: Tx,
  tenantId: TenantId,
  visibleTo: Address | undefined,
  page: { readonly cursor?: string; readonly limit: number },
): Promise<Listing<ArtifactRecord>> {
  const parameters: Parameter[] = [tenantId];
  const limit = page.limit + 1;
  const before = page.cursor === undefined ? undefined : cursorParts(page.cursor);
  const at =
    before &&
    `(timestamptz 'epoch' + $${parameters.push(before.micros)}::bigint * interval '1 microsecond', decode($${parameters.push(before.id)}, 'hex'))`;
  const newest = (time: string, table: string, condition: string): string =>
    `(select artifact_id, ${time} as at from ${table} where tenant_id = $1 ${condition}
      ${at === undefined ? '' : `and (${time}, artifact_id) < ${at}`} order by ${time} desc, artifact_id desc limit ${limit})`;
  // Each half is read from the end of an index of its own, however many artifacts others have.
  const seen =
    visibleTo === undefined
      ? newest('created_at', 'artifacts', '')
      : `(${newest('created_at', 'artifacts', `and sealer = $${parameters.push(visibleTo)}`)}
         union ${newest('listed_at', 'capsules', `and lower(address) = $${parameters.length}`)})`;
  const rows = await tx.query<ArtifactRow>(
    `select a.*, (extract(epoch from a.created_at) * 1000000)::bigint || '~' || encode(a.artifact_id, 'hex') as cursor
     from (select * from ${seen} as one order by at desc, artifact_id desc limit ${limit}) as seen
     join artifacts a on a.tenant_id = $1 and a.artifact_id = seen.artifact_id
     order by a.created_at desc, a.artifact_id desc`,
    parameters,
  );
  return pageOf(rows, page.limit, artifactOf, (row) => row.cursor);
}

/** Revokes capsules for good. Returns the addresses whose capsule was live until now. */
export async function revoke(
  tx: Tx,
  tenantId: TenantId,
  id: ArtifactId,
  addresses: readonly Address[] | undefined,
): Promise<readonly Address[]> {
  const rows = await tx.query<{ address: string }>(
    `update capsules set revoked_at = clock_timestamp()
     where tenant_id = $1 and artifact_id = $2 and revoked_at is null and ($3::text[] is null or address = any($3))
     returning address`,
    [tenantId, idBytes(id), addresses ?? null],
  );
  return rows.map((row) => addressOf(row.address));
}

/** Sets the end of release. The caller has checked it against the statement's ceiling. */
export async function setExpiry(
  tx: Tx,
  tenantId: TenantId,
  id: ArtifactId,
  addresses: readonly Address[] | undefined,
  expiresAt: Date,
): Promise<readonly Address[]> {
  const rows = await tx.query<{ address: string }>(
    `update capsules set expires_at = $4
     where tenant_id = $1 and artifact_id = $2 and revoked_at is null and ($3::text[] is null or address = any($3))
     returning address`,
    [tenantId, idBytes(id), addresses ?? null, expiresAt],
  );
  return rows.map((row) => addressOf(row.address));
}

/** Puts a sealer's new statement in the old one's place. */
export async function replaceStatement(
  tx: Tx,
  tenantId: TenantId,
  artifact: Pick<ArtifactRecord, 'artifactId' | 'statement' | 'notAfter' | 'sealerSerial'>,
): Promise<void> {
  await tx.query(
    'update artifacts set statement = $3, not_after = $4, sealer_serial = $5 where tenant_id = $1 and artifact_id = $2',
    [tenantId, idBytes(artifact.artifactId), artifact.statement, artifact.notAfter, artifact.sealerSerial],
  );
}

/** A capsule as the CVS needs it. */
export interface RewrapCandidate {
  readonly id: CapsuleId;
  readonly artifactId: ArtifactId;
  readonly address: Address;
  readonly wrap: Uint8Array;
  readonly links: readonly Uint8Array[];
  readonly statement: Uint8Array;
  readonly sealerCertificate: Uint8Array;
  readonly notAfter: Date;
}

interface RewrapRow {
  readonly capsule_id: CapsuleId;
  readonly artifact_id: Buffer;
  readonly address: string;
  readonly wrap: Buffer;
  readonly links: Buffer[];
  readonly statement: Buffer;
  readonly certificate: Buffer;
  readonly not_after: Date;
}

const REWRAP = `select c.capsule_id, c.artifact_id, c.address, c.wrap, c.links, a.statement, s.certificate, a.not_after
  from capsules c
  join artifacts a using (tenant_id, artifact_id)
  join certificates s on s.tenant_id = c.tenant_id and s.serial = a.sealer_serial`;

const candidateOf = (row: RewrapRow): RewrapCandidate => ({
  id: row.capsule_id,
  artifactId: artifactIdOf(row.artifact_id),
  address: addressOf(row.address),
  wrap: bytes(row.wrap),
  links: row.links.map(bytes),
  statement: bytes(row.statement),
  sealerCertificate: bytes(row.certificate),
  notAfter: row.not_after,
});

// What is revoked or past its ceiling needs no rewrap: it is never released again by this wrap.
const STILL_OF_USE = 'c.revoked_at is null and a.not_after > clock_timestamp()';

/** Capsules that are still wrapped to a holding or organisation key; those done drop out by themselves. */
export async function rewrapCandidates(
  tx: Tx,
  tenantId: TenantId,
  keyId: KeyId,
  after: CapsuleId | undefined,
  limit: number,
): Promise<readonly RewrapCandidate[]> {
  const rows = await tx.query<RewrapRow>(
    `${REWRAP} where c.tenant_id = $1 and c.key_id = $2 and c.kind in ('holding', 'organisation') and ${STILL_OF_USE}
       and c.capsule_id > $3 order by c.capsule_id limit ${limit}`,
    [tenantId, idBytes(keyId), after ?? '00000000-0000-0000-0000-000000000000'],
  );
  return rows.map(candidateOf);
}

export async function countRewrapCandidates(tx: Tx, tenantId: TenantId, keyId: KeyId): Promise<number> {
  const [row] = await tx.query<{ n: number }>(
    `select count(*)::int as n from capsules c join artifacts a using (tenant_id, artifact_id)
     where c.tenant_id = $1 and c.key_id = $2 and c.kind in ('holding', 'organisation') and ${STILL_OF_USE}`,
    [tenantId, idBytes(keyId)],
  );
  return row?.n ?? 0;
}

export async function capsuleForCustody(
  tx: Tx,
  tenantId: TenantId,
  artifactId: ArtifactId,
  address: Address,
): Promise<RewrapCandidate | undefined> {
  const [row] = await tx.query<RewrapRow>(
    `${REWRAP} where c.tenant_id = $1 and c.artifact_id = $2 and c.address = $3 and ${STILL_OF_USE}`,
    [tenantId, idBytes(artifactId), address],
  );
  return row === undefined ? undefined : candidateOf(row);
}

/** Files a rewrapped capsule, unless it was rewrapped in the meantime. */
export async function saveRewrap(
  tx: Tx,
  tenantId: TenantId,
  candidate: Pick<RewrapCandidate, 'id' | 'wrap'>,
  done: {
    readonly wrap: Uint8Array;
    readonly link: Uint8Array;
    readonly keyId: KeyId;
    readonly kind: SubjectKind;
  },
): Promise<boolean> {
  const rows = await tx.query(
    `update capsules set wrap = $4, links = links || $5::bytea, key_id = $6, kind = $7
     where tenant_id = $1 and capsule_id = $2 and wrap = $3 returning 1`,
    [tenantId, candidate.id, candidate.wrap, done.wrap, done.link, idBytes(done.keyId), done.kind],
  );
  return rows.length > 0;
}

/** Adds the capsule of a recovery, or replaces an earlier one of the same admin's. */
export async function addRecovered(
  tx: Tx,
  tenantId: TenantId,
  artifactId: ArtifactId,
  capsule: NewCapsule & { readonly links: readonly Uint8Array[]; readonly expiresAt: Date },
): Promise<void> {
  await tx.query(
    `insert into capsules (tenant_id, capsule_id, artifact_id, address, key_id, kind, wrap, links, expires_at, listed_at)
     select $1, $2, $3, $4, $5, $6, $7, $8, $9, created_at from artifacts where tenant_id = $1 and artifact_id = $3
     on conflict (tenant_id, artifact_id, address) do update set key_id = excluded.key_id, wrap = excluded.wrap,
       links = excluded.links, expires_at = excluded.expires_at`,
    [
      tenantId,
      capsule.id,
      idBytes(artifactId),
      capsule.address,
      idBytes(capsule.keyId),
      capsule.kind,
      capsule.wrap,
      capsule.links.map((link) => Buffer.from(link)),
      capsule.expiresAt,
    ],
  );
}

/** Holding keys whose capsules wait to be rewrapped though the address has enrolled: a rewrap was cut short. */
export async function unfinishedHoldings(
  tx: Tx,
  tenantId: TenantId,
): Promise<readonly { readonly address: Address; readonly keyId: KeyId }[]> {
  const rows = await tx.query<{ address: string; key_id: Buffer }>(
    `select h.address, h.key_id
     from (select distinct address, key_id from capsules where tenant_id = $1 and kind = 'holding') h
     join people p on p.tenant_id = $1 and p.address = h.address and p.status = 'active'
     where exists (
       select from capsules c join artifacts a using (tenant_id, artifact_id)
       where c.tenant_id = $1 and c.kind = 'holding' and c.address = h.address and c.key_id = h.key_id
         and ${STILL_OF_USE})`,
    [tenantId],
  );
  return rows.map((row) => ({ address: addressOf(row.address), keyId: keyIdOf(row.key_id) }));
}
