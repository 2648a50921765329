/** People and service clients, and the certificates of everybody's keys. */
import type {
  Address,
  KeyId,
  PersonId,
  Role,
  SigningPublicKey,
  SubjectKind,
  TenantId,
} from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import type { Database, Parameter, Tx } from '../database.ts';
import type { Listing } from './rows.ts';
import { addressOf, bytes, idBytes, keyIdOf, pageOf } from './rows.ts';

export interface PersonRecord {
  readonly id: PersonId;
  readonly address: Address;
  readonly kind: 'person' | 'service';
  readonly role: Role;
  readonly status: 'invited' | 'active' | 'removed';
  readonly groups: readonly string[];
  readonly hardwareBacked: boolean;
  /** The address is of no domain which the tenant has proved. */
  readonly outsider: boolean;
  readonly enrolmentNotAfter: Date;
  readonly grant: Uint8Array | undefined;
  readonly serial: number | undefined;
  readonly signingKey: SigningPublicKey | undefined;
  readonly signingKeyId: KeyId | undefined;
  readonly kemKeyId: KeyId | undefined;
  readonly createdAt: Date;
}

interface PersonRow {
  readonly person_id: PersonId;
  readonly address: string;
  readonly kind: 'person' | 'service';
  readonly role: Role;
  readonly status: 'invited' | 'active' | 'removed';
  readonly groups: string[];
  readonly hardware_backed: boolean;
  readonly outsider: boolean;
  readonly enrolment_not_after: Date;
  readonly grant_object: Buffer | null;
  readonly serial: number | null;
  readonly signing_key: Buffer | null;
  readonly signing_key_id: Buffer | null;
  readonly kem_key_id: Buffer | null;
  readonly created_at: Date;
}

const present = <T, U>(value: T | null, map: (value: T) => U): U | undefined =>
  value === null ? undefined : map(value);

const recordOf = (row: PersonRow): PersonRecord => ({
  id: row.person_id,
  address: addressOf(row.address),
  kind: row.kind,
  role: row.role,
  status: row.status,
  groups: row.groups,
  hardwareBacked: row.hardware_backed,
  outsider: row.outsider,
  enrolmentNotAfter: row.enrolment_not_after,
  grant: present(row.grant_object, bytes),
  serial: row.serial ?? undefined,
  signingKey: present(row.signing_key, (key) => bytes(key) as SigningPublicKey),
  signingKeyId: present(row.signing_key_id, keyIdOf),
  kemKeyId: present(row.kem_key_id, keyIdOf),
  createdAt: row.created_at,
});

async function one(
  tx: Tx,
  condition: string,
  parameters: readonly Parameter[],
): Promise<PersonRecord | undefined> {
  const [row] = await tx.query<PersonRow>(
    `select * from people where tenant_id = $1 and ${condition}`,
    parameters,
  );
  return row === undefined ? undefined : recordOf(row);
}

const NOBODY = 'There is nobody with this id here.';

export async function getPerson(tx: Tx, tenantId: TenantId, id: PersonId): Promise<PersonRecord> {
  const person = await one(tx, 'person_id = $2', [tenantId, id]);
  if (person === undefined) throw new ProblemError('not_found', NOBODY);
  return person;
}

export const findByAddress = (
  tx: Tx,
  tenantId: TenantId,
  address: Address,
): Promise<PersonRecord | undefined> => one(tx, "address = $2 and status <> 'removed'", [tenantId, address]);

/** Whoever was invited with this enrolment key and has not been removed. */
export const findByEnrolmentKey = (
  tx: Tx,
  tenantId: TenantId,
  key: KeyId,
): Promise<PersonRecord | undefined> =>
  one(tx, "enrolment_key_id = $2 and status <> 'removed'", [tenantId, idBytes(key)]);

/** The tenant that a person is of: a token is asked for by the person's id alone. */
export async function tenantOfPerson(database: Database, id: PersonId): Promise<TenantId | undefined> {
  const [row] = await database.query<{ tenant: TenantId | null }>('select tenant_of_person($1) as tenant', [
    id,
  ]);
  return row?.tenant ?? undefined;
}

export async function listPeople(
  tx: Tx,
  tenantId: TenantId,
  page: { readonly cursor?: string; readonly limit: number },
): Promise<Listing<PersonRecord>> {
  const rows = await tx.query<PersonRow>(
    `select * from people where tenant_id = $1 and person_id > $2 order by person_id limit ${page.limit + 1}`,
    [tenantId, page.cursor ?? '00000000-0000-0000-0000-000000000000'],
  );
  return pageOf(rows, page.limit, recordOf, (row) => row.person_id);
}

export interface Invitation {
  readonly id: PersonId;
  readonly address: Address;
  readonly kind: 'person' | 'service';
  readonly role: Role;
  readonly groups: readonly string[];
  readonly hardwareBacked: boolean;
  readonly outsider: boolean;
  readonly enrolmentKeyId: KeyId;
  readonly notAfter: Date;
  /** Absent for a tenant's first admin, whom the operator's order names. */
  readonly grant: Uint8Array | undefined;
}

/** Invites an address. One that is invited already gets the new invitation instead of the old. */
export async function invite(tx: Tx, tenantId: TenantId, invitation: Invitation): Promise<PersonRecord> {
  const known = await findByAddress(tx, tenantId, invitation.address);
  if (known !== undefined && known.status !== 'invited') {
    throw new ProblemError(
      'already_exists',
      'Somebody with this address has enrolled; remove that person first.',
    );
  }
  const values: Parameter[] = [
    tenantId,
    known?.id ?? invitation.id,
    invitation.address,
    invitation.kind,
    invitation.role,
    invitation.groups,
    invitation.hardwareBacked,
    invitation.outsider,
    idBytes(invitation.enrolmentKeyId),
    invitation.notAfter,
    invitation.grant ?? null,
  ];
  const [row] = await tx.query<PersonRow>(
    `insert into people (tenant_id, person_id, address, kind, role, status, groups, hardware_backed, outsider,
       enrolment_key_id, enrolment_not_after, grant_object)
     values ($1, $2, $3, $4, $5, 'invited', $6, $7, $8, $9, $10, $11)
     on conflict (tenant_id, person_id) do update set kind = excluded.kind, role = excluded.role,
       groups = excluded.groups, hardware_backed = excluded.hardware_backed, outsider = excluded.outsider,
       enrolment_key_id = excluded.enrolment_key_id, enrolment_not_after = excluded.enrolment_not_after,
       grant_object = excluded.grant_object
     returning *`,
    values,
  );
  if (row === undefined) throw new ProblemError('internal', 'The invitation was not stored.');
  return recordOf(row);
}

export interface CertificateRecord {
  readonly serial: number;
  readonly address: Address;
  readonly kind: SubjectKind;
  readonly kemKeyId: KeyId;
  readonly certificate: Uint8Array;
}

/** Files a certificate as the address's live one. */
export async function addCertificate(tx: Tx, tenantId: TenantId, record: CertificateRecord): Promise<void> {
  await tx.query(
    'update certificates set live = false where tenant_id = $1 and address = $2 and live and serial <> $3',
    [tenantId, record.address, record.serial],
  );
  await tx.query(
    `insert into certificates (tenant_id, serial, address, kind, kem_key_id, certificate)
     values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, serial) do nothing`,
    [tenantId, record.serial, record.address, record.kind, idBytes(record.kemKeyId), record.certificate],
  );
}

interface CertificateRow {
  readonly serial: number;
  readonly address: string;
  readonly kind: SubjectKind;
  readonly kem_key_id: Buffer;
  readonly certificate: Buffer;
}

const certificateOf = (row: CertificateRow): CertificateRecord => ({
  serial: row.serial,
  address: addressOf(row.address),
  kind: row.kind,
  kemKeyId: keyIdOf(row.kem_key_id),
  certificate: bytes(row.certificate),
});

export async function liveCertificates(
  tx: Tx,
  tenantId: TenantId,
  addresses: readonly Address[],
): Promise<readonly CertificateRecord[]> {
  const rows = await tx.query<CertificateRow>(
    'select * from certificates where tenant_id = $1 and address = any($2) and live',
    [tenantId, addresses],
  );
  return rows.map(certificateOf);
}

export async function certificateBySerial(
  tx: Tx,
  tenantId: TenantId,
  serial: number,
): Promise<CertificateRecord> {
  const [row] = await tx.query<CertificateRow>(
    'select * from certificates where tenant_id = $1 and serial = $2',
    [tenantId, serial],
  );
  if (row === undefined) throw new ProblemError('not_found', 'There is no such certificate.');
  return certificateOf(row);
}

export async function activate(
  tx: Tx,
  tenantId: TenantId,
  id: PersonId,
  keys: {
    readonly serial: number;
    readonly signingKey: SigningPublicKey;
    readonly signingKeyId: KeyId;
    readonly kemKeyId: KeyId;
  },
): Promise<PersonRecord> {
  const [row] = await tx.query<PersonRow>(
    `update people set status = 'active', serial = $3, signing_key = $4, signing_key_id = $5, kem_key_id = $6
     where tenant_id = $1 and person_id = $2 and status <> 'removed' returning *`,
    [tenantId, id, keys.serial, keys.signingKey, idBytes(keys.signingKeyId), idBytes(keys.kemKeyId)],
  );
  if (row === undefined) throw new ProblemError('not_found', NOBODY);
  return recordOf(row);
}

export async function setGroups(
  tx: Tx,
  tenantId: TenantId,
  id: PersonId,
  groups: readonly string[],
): Promise<PersonRecord> {
  const [row] = await tx.query<PersonRow>(
    "update people set groups = $3 where tenant_id = $1 and person_id = $2 and status <> 'removed' returning *",
    [tenantId, id, groups],
  );
  if (row === undefined) throw new ProblemError('not_found', NOBODY);
  return recordOf(row);
}

export async function remove(tx: Tx, tenantId: TenantId, person: PersonRecord): Promise<PersonRecord> {
  const [row] = await tx.query<PersonRow>(
    "update people set status = 'removed' where tenant_id = $1 and person_id = $2 and status <> 'removed' returning *",
    [tenantId, person.id],
  );
  if (row === undefined) throw new ProblemError('not_found', NOBODY);
  await tx.query('update certificates set live = false where tenant_id = $1 and address = $2 and live', [
    tenantId,
    person.address,
  ]);
  return recordOf(row);
}
