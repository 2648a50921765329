/**
 * The gateway's HTTP API: one schema for each body, used to validate, to type and to generate OpenAPI.
 * Bytes are base64url without padding; times are RFC 3339 in UTC unless the name ends in `Seconds`.
 */
import type { Static, TSchema } from 'typebox';
import { Type } from 'typebox';

const Base64Url = (description: string, maxBytes: number) =>
  Type.String({ description, pattern: '^[A-Za-z0-9_-]*$', maxLength: Math.ceil((maxBytes * 4) / 3) });
const Uuid = (description: string) =>
  Type.String({ description, pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' });
const Time = (description: string) => Type.String({ description, format: 'date-time' });
const AddressText = Type.String({
  description: 'Mail address, or `organisation`',
  minLength: 3,
  maxLength: 254,
});
const ArtifactIdText = Type.String({ description: '16 random bytes', pattern: '^[A-Za-z0-9_-]{22}$' });
const KeyIdText = Type.String({ description: 'SHA-256 thumbprint of a key', pattern: '^[A-Za-z0-9_-]{43}$' });
const SignedObject = (type: string) => Base64Url(`COSE_Sign1 of type ${type}`, 1 << 17);
const closed = { additionalProperties: false } as const;
const Kind = Type.Union([Type.Literal('person'), Type.Literal('service')]);
const RoleText = Type.Union([Type.Literal('member'), Type.Literal('admin')]);
const Kem = Type.Union([Type.Literal('X-Wing'), Type.Literal('X25519'), Type.Literal('P-256')]);

/** A page of a listing. `nextCursor` is absent on the last page. */
export const Page = <T extends TSchema>(item: T) =>
  Type.Object({ items: Type.Array(item), nextCursor: Type.Optional(Type.String()) }, closed);
export const PageQuery = Type.Object({
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })),
});

// ---- tokens (OAuth 2 client credentials, RFC 6749; private_key_jwt, RFC 7523; DPoP, RFC 9449)
export const TokenRequest = Type.Object({
  grant_type: Type.Literal('client_credentials'),
  client_assertion_type: Type.Literal('urn:ietf:params:oauth:client-assertion-type:jwt-bearer'),
  client_assertion: Type.String({ maxLength: 4096 }),
});
export const TokenResponse = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('DPoP'),
  expires_in: Type.Integer({ description: 'Seconds' }),
});

// ---- tenants
export const TenantCreate = Type.Object(
  { order: SignedObject('astis/tenant-order, signed by the operator') },
  closed,
);
export const Tenant = Type.Object(
  {
    id: Uuid('Tenant'),
    name: Type.String(),
    identityKey: Base64Url(
      "The organisation's Ed25519 key, which certifies keys and signs rewrap links. Pin it.",
      32,
    ),
    checkpointKey: Type.String({
      description: 'C2SP verifier key of the checkpoints, held in the CVS. Pin it.',
    }),
    receiptKey: Type.String({
      description: 'C2SP verifier key of the receipts, held by the gateway. Pin it.',
    }),
    logOrigin: Type.String({ description: "Origin line of the tenant's log" }),
    recovery: Type.Boolean({
      description: 'Whether the organisation can recover what is sealed to its own key',
    }),
  },
  closed,
);
export type Tenant = Static<typeof Tenant>;
export const DomainCreate = Type.Object({ domain: Type.String({ minLength: 3, maxLength: 253 }) }, closed);
export const Domain = Type.Object(
  {
    domain: Type.String(),
    verified: Type.Boolean(),
    txtName: Type.String({ description: 'Name of the TXT record which proves control' }),
    txtValue: Type.String({ description: 'Value of that record' }),
  },
  closed,
);
export type Domain = Static<typeof Domain>;

// ---- people and keys
export const PersonStatus = Type.Union([
  Type.Literal('invited'),
  Type.Literal('active'),
  Type.Literal('removed'),
]);
export const Person = Type.Object(
  {
    id: Uuid('Person'),
    address: AddressText,
    kind: Kind,
    role: RoleText,
    status: PersonStatus,
    groups: Type.Array(Type.String()),
    hardwareBacked: Type.Boolean(),
    serial: Type.Optional(Type.Integer({ description: 'Serial of the current certificate' })),
    signingKeyId: Type.Optional(KeyIdText),
    kemKeyId: Type.Optional(KeyIdText),
    createdAt: Time('Created'),
  },
  closed,
);
export type Person = Static<typeof Person>;
const GroupName = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,63}$' });
export const PersonCreate = Type.Object(
  {
    grant: SignedObject('astis/enrolment-grant, signed by the caller'),
    groups: Type.Optional(Type.Array(GroupName, { maxItems: 64, uniqueItems: true })),
  },
  closed,
);
export const PersonUpdate = Type.Object(
  { groups: Type.Array(GroupName, { maxItems: 64, uniqueItems: true }) },
  closed,
);
export const PersonRemove = Type.Object(
  {
    revocation: Type.Optional(
      SignedObject(
        'astis/key-revocation of the current certificate, signed by the caller; absent while only invited',
      ),
    ),
  },
  closed,
);
export const ChallengeRequest = Type.Object(
  {
    tenantId: Uuid('Tenant'),
    enrolmentKeyId: KeyIdText,
    kem: Kem,
    kemKey: Base64Url('KEM public key that is to be registered', 1216),
  },
  closed,
);
export const Challenge = Type.Object(
  {
    address: AddressText,
    enc: Base64Url('HPKE encapsulated secret', 1120),
    ciphertext: Base64Url(
      'HPKE ciphertext of the 32-byte answer; info is "astis/v1 challenge", aad the KEM key id',
      48,
    ),
  },
  closed,
);
export const EnrolmentRequest = Type.Object(
  { tenantId: Uuid('Tenant'), enrolment: SignedObject('astis/enrolment, signed by the enrolment key') },
  closed,
);
export const Enrolled = Type.Object(
  {
    person: Person,
    tenant: Tenant,
    certificate: SignedObject('astis/key-certificate'),
    rewrapped: Type.Integer({
      description: 'Capsules of the holding key that were rewrapped to the new key',
    }),
  },
  closed,
);
export const DirectoryQuery = Type.Object(
  { addresses: Type.Array(AddressText, { minItems: 1, maxItems: 1000, uniqueItems: true }) },
  closed,
);
export const DirectoryAnswer = Type.Object(
  {
    certificates: Type.Array(SignedObject('astis/key-certificate')),
    missing: Type.Array(AddressText, {
      description: 'Addresses with no certified key; ask for a holding key',
    }),
  },
  closed,
);
export const CustodyOrderBody = Type.Object(
  { order: SignedObject('astis/custody-order, signed by the caller') },
  closed,
);
export const HoldingKey = Type.Object(
  { certificate: SignedObject('astis/key-certificate of kind holding') },
  closed,
);

// ---- capsules
const WrapItem = Type.Object({ address: AddressText, wrap: Base64Url('CBOR wrap', 2048) }, closed);
export const CapsuleCreateItem = Type.Object(
  {
    statement: SignedObject('astis/statement, signed by the caller'),
    wraps: Type.Array(WrapItem, {
      minItems: 1,
      maxItems: 1000,
      description: 'One for each recipient of the statement',
    }),
  },
  closed,
);
export const CapsuleCreate = Type.Object(
  { items: Type.Array(CapsuleCreateItem, { minItems: 1, maxItems: 256 }) },
  closed,
);
export const CapsuleStatus = Type.Union([
  Type.Literal('live'),
  Type.Literal('expired'),
  Type.Literal('revoked'),
]);
export const Capsule = Type.Object(
  {
    id: Uuid('Capsule'),
    artifactId: ArtifactIdText,
    address: AddressText,
    keyId: KeyIdText,
    kind: Type.Union([
      Type.Literal('person'),
      Type.Literal('service'),
      Type.Literal('holding'),
      Type.Literal('organisation'),
    ]),
    status: CapsuleStatus,
    expiresAt: Time('When release ends; by the database clock'),
    createdAt: Time('Stored'),
    releases: Type.Integer({ description: 'How often it was released' }),
    lastReleasedAt: Type.Optional(Time('Last release')),
  },
  closed,
);
export type Capsule = Static<typeof Capsule>;
export const Artifact = Type.Object(
  {
    artifactId: ArtifactIdText,
    sealer: AddressText,
    labels: Type.Array(Type.String()),
    sealedAt: Time("By the sealer's clock"),
    notAfter: Time('Ceiling of the TTL in the statement'),
    statement: SignedObject('astis/statement'),
    capsules: Type.Array(Capsule, {
      description: 'Those that the caller may see: all for sealer and admin, else own',
    }),
  },
  closed,
);
export type Artifact = Static<typeof Artifact>;
export const ArtifactListItem = Type.Omit(Artifact, ['capsules', 'statement']);
export const CapsulesCreated = Type.Object({ items: Type.Array(Artifact) }, closed);
export const RevokeRequest = Type.Object(
  {
    addresses: Type.Optional(
      Type.Array(AddressText, { minItems: 1, description: 'Absent: every recipient' }),
    ),
    reason: Type.Optional(Type.String({ maxLength: 200 })),
  },
  closed,
);
export const TtlRequest = Type.Object(
  {
    addresses: Type.Optional(
      Type.Array(AddressText, { minItems: 1, description: 'Absent: every recipient' }),
    ),
    expiresAt: Time('New end, sooner or later than now'),
    statement: Type.Optional(
      SignedObject(
        'astis/statement with a later notAfter and all else unchanged; needed to go past the old notAfter',
      ),
    ),
  },
  closed,
);

// ---- releases
export const ReleaseRequest = Type.Object({ artifactId: ArtifactIdText }, closed);
export const Receipt = Type.Object(
  {
    record: Base64Url('CBOR entry record of the log: the Merkle leaf', 256),
    event: Base64Url('The event, RFC 8785 JSON', 8192),
    salt: Base64Url('Salt of the commitment', 32),
    seq: Type.Integer({ description: 'Index of the entry in the log' }),
    proof: Type.Array(Base64Url('Hash', 32), {
      description: "Merkle inclusion proof of the record in the note's tree, from the leaf's sibling up",
      maxItems: 64,
    }),
    note: Type.String({ description: 'Signed note of the gateway: the log at a size that covers the entry' }),
    checkpoint: Type.Optional(Type.String({ description: 'Newest checkpoint signed by the CVS' })),
  },
  closed,
);
export type Receipt = Static<typeof Receipt>;
export const ReleasedCapsule = Type.Object(
  {
    id: Uuid('Capsule'),
    artifactId: ArtifactIdText,
    address: AddressText,
    keyId: KeyIdText,
    wrap: Base64Url('CBOR wrap', 2048),
    statement: SignedObject('astis/statement'),
    links: Type.Array(SignedObject('astis/rewrap-link'), { description: 'Oldest first' }),
    sealerCertificate: SignedObject('astis/key-certificate'),
    expiresAt: Time('When release ends'),
  },
  closed,
);
export type ReleasedCapsule = Static<typeof ReleasedCapsule>;
export const Release = Type.Object({ capsule: ReleasedCapsule, receipt: Receipt }, closed);
export type Release = Static<typeof Release>;
export const ReleaseBatchRequest = Type.Object(
  { artifactIds: Type.Array(ArtifactIdText, { minItems: 1, maxItems: 256, uniqueItems: true }) },
  closed,
);
export const ApprovalStatus = Type.Union([
  Type.Literal('pending'),
  Type.Literal('approved'),
  Type.Literal('denied'),
  Type.Literal('lapsed'),
]);
export const Approval = Type.Object(
  {
    id: Uuid('Approval'),
    artifactId: ArtifactIdText,
    requester: AddressText,
    status: ApprovalStatus,
    requestedAt: Time('Asked'),
    decidedBy: Type.Optional(AddressText),
    decidedAt: Type.Optional(Time('Decided')),
    validUntil: Type.Optional(Time('Until when the approval holds')),
  },
  closed,
);
export type Approval = Static<typeof Approval>;
export const ApprovalDecision = Type.Object(
  { decision: Type.Union([Type.Literal('approve'), Type.Literal('deny')]) },
  closed,
);

// ---- organisation key rotation
export const Rotation = Type.Object(
  {
    id: Uuid('Rotation'),
    status: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed')]),
    total: Type.Integer(),
    done: Type.Integer(),
    fromKeyId: KeyIdText,
    toKeyId: KeyIdText,
    startedAt: Time('Started'),
    finishedAt: Type.Optional(Time('Finished')),
  },
  closed,
);
export type Rotation = Static<typeof Rotation>;

// ---- policy
export const Policy = Type.Object(
  {
    version: Type.Integer(),
    document: Type.Unknown({ description: 'The policy document; docs/policy.md describes it' }),
    createdBy: Type.String(),
    createdAt: Time('Set'),
  },
  closed,
);
export type Policy = Static<typeof Policy>;
export const PolicySet = Type.Object(
  {
    document: Type.Unknown({ description: 'The whole new document' }),
    expectedVersion: Type.Integer({ description: 'The version which the change was made on', minimum: 0 }),
  },
  closed,
);
export const PolicyChanged = Type.Object(
  { version: Type.Integer(), diff: Type.Unknown({ description: 'What changed, as the log has it' }) },
  closed,
);
export const PolicyDryRun = Type.Object(
  {
    artifactId: ArtifactIdText,
    document: Type.Optional(Type.Unknown({ description: 'A draft; absent: the current policy' })),
    at: Type.Optional(Time('Moment to decide for; absent: now')),
    ip: Type.Optional(
      Type.String({ maxLength: 45, description: 'Network address to decide for; absent: yours' }),
    ),
  },
  closed,
);
export const PolicyDryRunAnswer = Type.Object(
  {
    people: Type.Array(
      Type.Object(
        {
          address: AddressText,
          recipient: Type.Boolean(),
          outcome: Type.Union([
            Type.Literal('allow'),
            Type.Literal('deny'),
            Type.Literal('approval_required'),
          ]),
          policies: Type.Array(Type.String()),
          reasons: Type.Array(Type.String()),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type PolicyDryRunAnswer = Static<typeof PolicyDryRunAnswer>;

// ---- audit
export const AuditQuery = Type.Object(
  {
    cursor: Type.Optional(Type.String({ maxLength: 20 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })),
    kind: Type.Optional(Type.String({ maxLength: 64 })),
    actor: Type.Optional(Type.String({ maxLength: 254 })),
    subject: Type.Optional(Type.String({ maxLength: 254 })),
  },
  closed,
);
export const AuditEntry = Type.Object(
  {
    seq: Type.Integer(),
    time: Time("The database's clock"),
    kind: Type.String(),
    commitment: Base64Url('SHA-256 of salt and event', 32),
    event: Type.Optional(Type.Unknown({ description: 'Absent when it was redacted' })),
  },
  closed,
);
export type AuditEntry = Static<typeof AuditEntry>;
export const Checkpoint = Type.Object(
  { size: Type.Integer(), note: Type.String({ description: 'C2SP signed note' }) },
  closed,
);
export const InclusionQuery = Type.Object(
  { seq: Type.Integer({ minimum: 0 }), size: Type.Integer({ minimum: 1 }) },
  closed,
);
export const ConsistencyQuery = Type.Object(
  { from: Type.Integer({ minimum: 0 }), to: Type.Integer({ minimum: 0 }) },
  closed,
);
export const Proof = Type.Object({ proof: Type.Array(Base64Url('Hash', 32)) }, closed);
