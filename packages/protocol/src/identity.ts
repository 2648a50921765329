/**
 * How keys come to belong to addresses. All are payloads of COSE_Sign1 objects:
 *
 *   enrolment grant   an admin lets an address enrol; names the public half of a one-time enrolment key whose
 *                     secret is the code that the admin hands over (the gateway never has it)
 *   key registration  the newcomer's keys, signed by the new signing key; carries the answer to the CVS's
 *                     challenge, which only the holder of the KEM private key can read
 *   enrolment         the registration once more, signed by the enrolment key
 *   key certificate   the organisation's key says: this address has these keys
 *   key revocation    an admin takes a certificate back
 */
import type { Cbor } from './cbor.ts';
import { decodeCbor, encodeCbor, FieldReader } from './cbor.ts';
import { canonicalAddress } from './envelope.ts';
import { ProtocolError } from './errors.ts';
import type { Address, KemPublicKey, SigningPublicKey, TenantId } from './ids.ts';
import { parseTenantId, uuidBytes, uuidText } from './ids.ts';
import type { KemName } from './suites.ts';
import { KEMS, kemById } from './suites.ts';

/** A person, a service client, a holding key or the organisation's own recovery key. */
export type SubjectKind = 'person' | 'service' | 'holding' | 'organisation';
export type Role = 'admin' | 'member';

const KINDS: readonly SubjectKind[] = ['person', 'service', 'holding', 'organisation'];
const ROLES: readonly Role[] = ['member', 'admin'];

function at<T>(list: readonly T[], index: number, what: string): T {
  const item = list[index];
  if (item === undefined) throw new ProtocolError('invalid_field', `unknown ${what}`);
  return item;
}

export interface EnrolmentGrant {
  readonly tenantId: TenantId;
  readonly address: Address;
  readonly enrolmentKey: SigningPublicKey;
  readonly kind: 'person' | 'service';
  readonly role: Role;
  /** The granting admin vouches that the keys are held in hardware. */
  readonly hardwareBacked: boolean;
  /** Seconds since 1970. */
  readonly notAfter: number;
}

export const encodeGrant = (grant: EnrolmentGrant): Uint8Array =>
  encodeCbor(
    new Map<number, Cbor>([
      [1, uuidBytes(grant.tenantId)],
      [2, grant.address],
      [3, grant.enrolmentKey],
      [4, KINDS.indexOf(grant.kind)],
      [5, ROLES.indexOf(grant.role)],
      [6, grant.hardwareBacked],
      [7, grant.notAfter],
    ]),
  );

export function decodeGrant(payload: Uint8Array): EnrolmentGrant {
  const fields = new FieldReader(decodeCbor(payload), 'enrolment grant');
  const tenantId = parseTenantId(uuidText(fields.bytes(1, 16)));
  const address = canonicalAddress(fields.text(2, 254));
  const enrolmentKey = fields.bytes(3, 32) as SigningPublicKey;
  const kind = at(KINDS, fields.uint(4), 'kind');
  if (kind !== 'person' && kind !== 'service')
    throw new ProtocolError('invalid_field', 'enrolment grant: kind');
  const role = at(ROLES, fields.uint(5), 'role');
  const hardwareBacked = fields.bool(6);
  const notAfter = fields.uint(7);
  fields.end();
  return { tenantId, address, enrolmentKey, kind, role, hardwareBacked, notAfter };
}

export interface KeyRegistration {
  readonly tenantId: TenantId;
  readonly address: Address;
  readonly signingKey: SigningPublicKey;
  readonly kem: KemName;
  readonly kemKey: KemPublicKey;
  /** What the CVS's challenge held: proof of possession of the KEM private key. */
  readonly challengeAnswer: Uint8Array;
  /** Seconds since 1970. */
  readonly at: number;
}

export const encodeRegistration = (registration: KeyRegistration): Uint8Array =>
  encodeCbor(
    new Map<number, Cbor>([
      [1, uuidBytes(registration.tenantId)],
      [2, registration.address],
      [3, registration.signingKey],
      [4, KEMS[registration.kem].id],
      [5, registration.kemKey],
      [6, registration.challengeAnswer],
      [7, registration.at],
    ]),
  );

export function decodeRegistration(payload: Uint8Array): KeyRegistration {
  const fields = new FieldReader(decodeCbor(payload), 'key registration');
  const tenantId = parseTenantId(uuidText(fields.bytes(1, 16)));
  const address = canonicalAddress(fields.text(2, 254));
  const signingKey = fields.bytes(3, 32) as SigningPublicKey;
  const kem = kemById(fields.uint(4));
  const kemKey = fields.bytes(5, KEMS[kem].publicKeyBytes) as KemPublicKey;
  const challengeAnswer = fields.bytes(6, 32);
  const registration: KeyRegistration = {
    tenantId,
    address,
    signingKey,
    kem,
    kemKey,
    challengeAnswer,
    at: fields.uint(7),
  };
  fields.end();
  return registration;
}

export interface KeyCertificate {
  readonly tenantId: TenantId;
  readonly address: Address;
  readonly kind: SubjectKind;
  readonly role: Role;
  readonly hardwareBacked: boolean;
  /** Holding and organisation keys sign nothing and have none. */
  readonly signingKey: SigningPublicKey | undefined;
  readonly kem: KemName;
  readonly kemKey: KemPublicKey;
  /** Seconds since 1970. */
  readonly issuedAt: number;
  /** Counts up in each tenant. */
  readonly serial: number;
}

export const encodeCertificate = (certificate: KeyCertificate): Uint8Array =>
  encodeCbor(
    new Map<number, Cbor>([
      [1, uuidBytes(certificate.tenantId)],
      [2, certificate.address],
      [3, KINDS.indexOf(certificate.kind)],
      [4, ROLES.indexOf(certificate.role)],
      [5, certificate.hardwareBacked],
      ...(certificate.signingKey === undefined ? [] : [[6, certificate.signingKey] as const]),
      [7, KEMS[certificate.kem].id],
      [8, certificate.kemKey],
      [9, certificate.issuedAt],
      [10, certificate.serial],
    ]),
  );

export function decodeCertificate(payload: Uint8Array): KeyCertificate {
  const fields = new FieldReader(decodeCbor(payload), 'key certificate');
  const tenantId = parseTenantId(uuidText(fields.bytes(1, 16)));
  const address = canonicalAddress(fields.text(2, 254));
  const kind = at(KINDS, fields.uint(3), 'kind');
  const role = at(ROLES, fields.uint(4), 'role');
  const hardwareBacked = fields.bool(5);
  const signs = kind === 'person' || kind === 'service';
  if (fields.has(6) !== signs)
    throw new ProtocolError('invalid_field', 'key certificate: signing key against its kind');
  const signingKey = signs ? (fields.bytes(6, 32) as SigningPublicKey) : undefined;
  const kem = kemById(fields.uint(7));
  const kemKey = fields.bytes(8, KEMS[kem].publicKeyBytes) as KemPublicKey;
  const certificate: KeyCertificate = {
    tenantId,
    address,
    kind,
    role,
    hardwareBacked,
    signingKey,
    kem,
    kemKey,
    issuedAt: fields.uint(9),
    serial: fields.uint(10),
  };
  fields.end();
  return certificate;
}

export interface KeyRevocation {
  readonly tenantId: TenantId;
  readonly address: Address;
  readonly serial: number;
  /** Seconds since 1970. */
  readonly at: number;
}

export const encodeRevocation = (revocation: KeyRevocation): Uint8Array =>
  encodeCbor(
    new Map<number, Cbor>([
      [1, uuidBytes(revocation.tenantId)],
      [2, revocation.address],
      [3, revocation.serial],
      [4, revocation.at],
    ]),
  );

export function decodeRevocation(payload: Uint8Array): KeyRevocation {
  const fields = new FieldReader(decodeCbor(payload), 'key revocation');
  const revocation: KeyRevocation = {
    tenantId: parseTenantId(uuidText(fields.bytes(1, 16))),
    address: canonicalAddress(fields.text(2, 254)),
    serial: fields.uint(3),
    at: fields.uint(4),
  };
  fields.end();
  return revocation;
}

/** The operator's order to make a tenant (`astis/tenant-order`); names the first admin's enrolment key. */
export interface TenantOrder {
  readonly tenantId: TenantId;
  readonly name: string;
  readonly domain: string;
  readonly admin: Address;
  readonly enrolmentKey: SigningPublicKey;
  /** Seconds since 1970; the order and the enrolment lapse then. */
  readonly notAfter: number;
}

export const encodeTenantOrder = (order: TenantOrder): Uint8Array =>
  encodeCbor(
    new Map<number, Cbor>([
      [1, uuidBytes(order.tenantId)],
      [2, order.name],
      [3, order.domain],
      [4, order.admin],
      [5, order.enrolmentKey],
      [6, order.notAfter],
    ]),
  );

export function decodeTenantOrder(payload: Uint8Array): TenantOrder {
  const fields = new FieldReader(decodeCbor(payload), 'tenant order');
  const order: TenantOrder = {
    tenantId: parseTenantId(uuidText(fields.bytes(1, 16))),
    name: fields.text(2, 200),
    domain: fields.text(3, 253),
    admin: canonicalAddress(fields.text(4, 254)),
    enrolmentKey: fields.bytes(5, 32) as SigningPublicKey,
    notAfter: fields.uint(6),
  };
  fields.end();
  return order;
}

/** What a person orders of the CVS itself (`astis/custody-order`), so that no gateway can order it alone. */
export interface CustodyOrder {
  readonly tenantId: TenantId;
  readonly action: 'rotate-organisation-key' | 'recover' | 'holding-key';
  /** The artifact to recover (base64url), the address to hold for, or empty. */
  readonly subject: string;
  readonly nonce: Uint8Array;
  /** Seconds since 1970. */
  readonly at: number;
}

const ACTIONS: readonly CustodyOrder['action'][] = ['rotate-organisation-key', 'recover', 'holding-key'];

export const encodeCustodyOrder = (order: CustodyOrder): Uint8Array =>
  encodeCbor(
    new Map<number, Cbor>([
      [1, uuidBytes(order.tenantId)],
      [2, ACTIONS.indexOf(order.action)],
      [3, order.subject],
      [4, order.nonce],
      [5, order.at],
    ]),
  );

export function decodeCustodyOrder(payload: Uint8Array): CustodyOrder {
  const fields = new FieldReader(decodeCbor(payload), 'custody order');
  const order: CustodyOrder = {
    tenantId: parseTenantId(uuidText(fields.bytes(1, 16))),
    action: at(ACTIONS, fields.uint(2), 'action'),
    subject: fields.text(3, 254),
    nonce: fields.bytes(4, 16),
    at: fields.uint(5),
  };
  fields.end();
  return order;
}
