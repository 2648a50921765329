/** The certificates that the CVS issued, and until when they counted. */
import type { Address, KeyCertificate, KeyId, TenantId } from '@astis/protocol';
import { decodeCertificate, decodeSign1, kemKeyId, signingKeyId } from '@astis/protocol';
import type { Tx } from '../database.ts';
import { bytes, idBytes } from '../gateway/rows.ts';

export interface IssuedCertificate {
  readonly certificate: KeyCertificate;
  /** The signed object. */
  readonly bytes: Uint8Array;
  readonly kemKeyId: KeyId;
  readonly signingKeyId: KeyId | undefined;
  /** Seconds since 1970: from then on it counts no more. Undefined while it is live. */
  readonly endedAt: number | undefined;
  /** Taken back by an admin, and not just followed by a newer one. */
  readonly revoked: boolean;
}

interface Row {
  readonly certificate: Buffer;
  readonly ended_at: number | null;
  readonly revoked: boolean;
}

const COLUMNS = 'certificate, floor(extract(epoch from ended_at))::bigint as ended_at, revoked';

function issuedOf(row: Row): IssuedCertificate {
  const object = bytes(row.certificate);
  // The CVS signed it before it came in here, and nobody else writes to this table.
  const certificate = decodeCertificate(decodeSign1(object, 'astis/key-certificate').payload);
  return {
    certificate,
    bytes: object,
    kemKeyId: kemKeyId(certificate.kem, certificate.kemKey),
    signingKeyId: certificate.signingKey === undefined ? undefined : signingKeyId(certificate.signingKey),
    endedAt: row.ended_at ?? undefined,
    revoked: row.revoked,
  };
}

export async function insertCertificate(
  tx: Tx,
  tenantId: TenantId,
  certificate: KeyCertificate,
  object: Uint8Array,
): Promise<void> {
  const { serial, address, kind, kem, kemKey, signingKey } = certificate;
  await tx.query(
    `insert into certificates (tenant_id, serial, address, kind, kem_key_id, signing_key_id, certificate)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      tenantId,
      serial,
      address,
      kind,
      idBytes(kemKeyId(kem, kemKey)),
      signingKey === undefined ? null : idBytes(signingKeyId(signingKey)),
      object,
    ],
  );
}

export async function findCertificates(
  tx: Tx,
  tenantId: TenantId,
  serials: readonly number[],
): Promise<ReadonlyMap<number, IssuedCertificate>> {
  const rows = await tx.query<Row>(
    `select ${COLUMNS} from certificates where tenant_id = $1 and serial = any($2::int[])`,
    [tenantId, serials],
    'custody.certificates',
  );
  return new Map(rows.map(issuedOf).map((issued) => [issued.certificate.serial, issued]));
}

export async function liveCertificate(
  tx: Tx,
  tenantId: TenantId,
  address: Address,
): Promise<IssuedCertificate | undefined> {
  const [row] = await tx.query<Row>(
    `select ${COLUMNS} from certificates where tenant_id = $1 and address = $2 and ended_at is null`,
    [tenantId, address],
    'custody.live-certificate',
  );
  return row === undefined ? undefined : issuedOf(row);
}

/** All that ever had this signing or KEM key, newest first. */
export async function certificatesByKey(
  tx: Tx,
  tenantId: TenantId,
  keyId: KeyId,
): Promise<readonly IssuedCertificate[]> {
  const rows = await tx.query<Row>(
    `select ${COLUMNS} from certificates
     where tenant_id = $1 and (signing_key_id = $2 or kem_key_id = $2) order by serial desc`,
    [tenantId, idBytes(keyId)],
    'custody.certificates-by-key',
  );
  return rows.map(issuedOf);
}

/** Live certificates of people and services. */
export async function liveSigners(tx: Tx, tenantId: TenantId): Promise<readonly IssuedCertificate[]> {
  const rows = await tx.query<Row>(
    `select ${COLUMNS} from certificates
     where tenant_id = $1 and signing_key_id is not null and ended_at is null`,
    [tenantId],
  );
  return rows.map(issuedOf);
}

/** `endedAt` in seconds since 1970. */
export async function endCertificate(
  tx: Tx,
  tenantId: TenantId,
  serial: number,
  endedAt: number,
  revoked: boolean,
): Promise<void> {
  await tx.query(
    `update certificates set ended_at = least(ended_at, to_timestamp($3)), revoked = revoked or $4
     where tenant_id = $1 and serial = $2`,
    [tenantId, serial, endedAt, revoked],
  );
}
