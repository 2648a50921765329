/**
 * What the gateway may ask of the CVS. Each call is one service message (signed and encrypted OpenPGP inside
 * mTLS, see docs/protocol.md): `{ method, params }` there, `{ result }` or `{ problem }` back. The CVS trusts
 * none of it: what authorises a call are the signed objects inside it.
 */
import type { Static, TSchema } from 'typebox';
import { Type } from 'typebox';

const Bytes = Type.String({ pattern: '^[A-Za-z0-9_-]*$' });
const TenantIdText = Type.String();
const closed = { additionalProperties: false } as const;
const method = <P extends TSchema, R extends TSchema>(params: P, result: R) => ({ params, result });

/** A capsule as the CVS must see it to use a key on it. */
export const CustodyCapsule = Type.Object(
  {
    /** The caller's own reference, given back with the result. */
    ref: Type.String({ maxLength: 64 }),
    statement: Bytes,
    sealerCertificate: Bytes,
    wrap: Bytes,
    links: Type.Array(Bytes, { maxItems: 64 }),
    /** Whom the wrap is to now. */
    address: Type.String(),
  },
  closed,
);
export type CustodyCapsule = Static<typeof CustodyCapsule>;

export const RewrapResult = Type.Object(
  {
    ref: Type.String(),
    wrap: Type.Optional(Bytes),
    link: Type.Optional(Bytes),
    /** Problem code, where this capsule was refused; the others go on. */
    refused: Type.Optional(Type.String()),
  },
  closed,
);
export type RewrapResult = Static<typeof RewrapResult>;

const TenantKeys = Type.Object(
  {
    tenantId: TenantIdText,
    /** Ed25519 public key that certifies and signs links. */
    identityKey: Bytes,
    /** C2SP verifier key. */
    checkpointKey: Type.String(),
    logOrigin: Type.String(),
    /** Certificate of the organisation's current recovery key. */
    organisationCertificate: Bytes,
  },
  closed,
);

export const CUSTODY_METHODS = {
  /** Authorised by the operator's signature on the order. Idempotent for the same order. */
  'tenant.create': method(Type.Object({ order: Bytes }, closed), TenantKeys),
  'tenant.keys': method(Type.Object({ tenantId: TenantIdText }, closed), TenantKeys),
  /** A fresh 32-byte answer sealed to the KEM key; the CVS keeps its hash until it lapses or is used. */
  'enrolment.challenge': method(
    Type.Object({ tenantId: TenantIdText, kem: Type.String(), kemKey: Bytes }, closed),
    Type.Object({ enc: Bytes, ciphertext: Bytes }, closed),
  ),
  /** Authorised by the grant (signed by a certified admin, or the tenant order for the first) and the enrolment key. */
  'enrolment.certify': method(
    Type.Object({ tenantId: TenantIdText, grant: Type.Optional(Bytes), enrolment: Bytes }, closed),
    Type.Object({ certificate: Bytes }, closed),
  ),
  /** Authorised by a custody order (holding-key) of any certified person. One live key an address. */
  'holding.create': method(
    Type.Object({ tenantId: TenantIdText, order: Bytes }, closed),
    Type.Object({ certificate: Bytes }, closed),
  ),
  /** Destroys the holding key of an address that has enrolled, once all of its capsules are rewrapped. */
  'holding.destroy': method(
    Type.Object({ tenantId: TenantIdText, address: Type.String() }, closed),
    Type.Object({ destroyed: Type.Boolean() }, closed),
  ),
  /** Authorised by an admin's signature on the revocation. */
  'key.revoke': method(
    Type.Object({ tenantId: TenantIdText, revocation: Bytes }, closed),
    Type.Object({ revoked: Type.Boolean() }, closed),
  ),
  /**
   * Holding key to the certified key of the same address, or old organisation key to the newest. Each capsule
   * is checked by itself. `targetKeyId` names a certificate that the CVS itself issued.
   */
  rewrap: method(
    Type.Object(
      { tenantId: TenantIdText, targetKeyId: Bytes, capsules: Type.Array(CustodyCapsule, { maxItems: 256 }) },
      closed,
    ),
    Type.Object({ results: Type.Array(RewrapResult) }, closed),
  ),
  /** Organisation key to the admin who signed the order (recover). */
  recover: method(
    Type.Object({ tenantId: TenantIdText, order: Bytes, capsule: CustodyCapsule }, closed),
    RewrapResult,
  ),
  /** Makes the next organisation key. Authorised by an admin's custody order; idempotent for the same order. */
  'organisation.rotate': method(
    Type.Object({ tenantId: TenantIdText, order: Bytes }, closed),
    Type.Object({ certificate: Bytes, previousKeyId: Bytes }, closed),
  ),
  /** Destroys an organisation key that isn't the newest, once its capsules are rewrapped. */
  'organisation.retire': method(
    Type.Object({ tenantId: TenantIdText, keyId: Bytes }, closed),
    Type.Object({ retired: Type.Boolean() }, closed),
  ),
  /** Signs a checkpoint that is consistent with the last one which it signed for the tenant. */
  'checkpoint.sign': method(
    Type.Object(
      {
        tenantId: TenantIdText,
        size: Type.Integer(),
        root: Bytes,
        oldSize: Type.Integer(),
        proof: Type.Array(Bytes),
      },
      closed,
    ),
    Type.Object({ note: Type.String() }, closed),
  ),
  /** The size of the last checkpoint signed for the tenant, so that the caller can send a proof from it. */
  'checkpoint.last': method(
    Type.Object({ tenantId: TenantIdText }, closed),
    Type.Object({ size: Type.Integer() }, closed),
  ),
} as const;

export type CustodyMethod = keyof typeof CUSTODY_METHODS;
export type CustodyParams<M extends CustodyMethod> = Static<(typeof CUSTODY_METHODS)[M]['params']>;
export type CustodyResult<M extends CustodyMethod> = Static<(typeof CUSTODY_METHODS)[M]['result']>;
