/** Random objects of the protocol, all valid: for property tests and as seeds for the fuzzer. */
import fc from 'fast-check';
import type {
  Address,
  ArtifactId,
  CustodyOrder,
  DekCommitment,
  EnrolmentGrant,
  EnvelopeHeader,
  HeaderHash,
  KemName,
  KemPublicKey,
  KeyCertificate,
  KeyId,
  KeyRegistration,
  KeyRevocation,
  RewrapLink,
  Sign1,
  SignedType,
  SigningPublicKey,
  Statement,
  TenantId,
  TenantOrder,
  Wrap,
  WrapContext,
} from './formats.ts';
import {
  artifactIdText,
  canonicalStatement,
  KEM_NAMES,
  KEMS,
  keyIdText,
  ORGANISATION,
  parseAddress,
  uuidText,
} from './formats.ts';

export const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const bytesAs = <T extends Uint8Array>(length: number): fc.Arbitrary<T> =>
  bytes(length).map((value) => value as T);

export const tenantId: fc.Arbitrary<TenantId> = bytes(16).map((value) => uuidText(value) as TenantId);
export const artifactId: fc.Arbitrary<ArtifactId> = bytes(16).map(artifactIdText);
export const keyId: fc.Arbitrary<KeyId> = bytes(32).map(keyIdText);
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
export const domain: fc.Arbitrary<string> = fc
  .tuple(label, fc.constantFrom('example', 'test'))
  .map((parts) => parts.join('.'));
export const address: fc.Arbitrary<Address> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.stringMatching(/^[a-z0-9.+_-]{1,20}$/), domain)
      .map(([a, b]) => parseAddress(`${a}@${b}`)),
  },
  { weight: 1, arbitrary: fc.constant(ORGANISATION) },
);
export const seconds: fc.Arbitrary<number> = fc.integer({ min: 0, max: 2 ** 40 });
export const kem: fc.Arbitrary<KemName> = fc.constantFrom(...KEM_NAMES);
const kemKey = (name: KemName) => bytesAs<KemPublicKey>(KEMS[name].publicKeyBytes);
const signingKey = bytesAs<SigningPublicKey>(32);
const kind = fc.constantFrom('person', 'service', 'holding', 'organisation');
const role = fc.constantFrom('member', 'admin');

export const header: fc.Arbitrary<EnvelopeHeader> = fc.record({
  artifactId,
  tenantId,
  sealer: address,
  sealerKey: signingKey,
  commitment: bytesAs<DekCommitment>(32),
});

export const statement: fc.Arbitrary<Statement> = fc
  .record({
    artifactId,
    headerHash: bytesAs<HeaderHash>(32),
    commitment: bytesAs<DekCommitment>(32),
    tenantId,
    sealer: address,
    sealedAt: seconds,
    lifetime: fc.integer({ min: 1, max: 2 ** 30 }),
    recipients: fc.uniqueArray(fc.record({ address, keyId }), {
      minLength: 1,
      maxLength: 12,
      selector: (recipient) => recipient.address,
    }),
    labels: fc.uniqueArray(fc.constantFrom('a', 'b', 'draft', 'GDPR', 'Vertrag 2026', 'è/ü', 'x:y'), {
      maxLength: 5,
    }),
  })
  .map(({ lifetime, ...rest }) => canonicalStatement({ ...rest, notAfter: rest.sealedAt + lifetime }));

export const wrap: fc.Arbitrary<Wrap> = kem.chain((name) =>
  fc.record({ kem: fc.constant(name), keyId, enc: bytes(KEMS[name].encBytes), ciphertext: bytes(48) }),
);

export const wrapContext: fc.Arbitrary<WrapContext> = fc.record({
  artifactId,
  headerHash: bytesAs<HeaderHash>(32),
  commitment: bytesAs<DekCommitment>(32),
  tenantId,
  address,
  keyId,
});

const linkEnd = fc.record({ address, keyId, wrapHash: bytes(32) });
export const link: fc.Arbitrary<RewrapLink> = fc.record({
  tenantId,
  artifactId,
  from: linkEnd,
  to: linkEnd,
  at: seconds,
});

export const grant: fc.Arbitrary<EnrolmentGrant> = fc.record({
  tenantId,
  address,
  enrolmentKey: signingKey,
  kind: fc.constantFrom('person', 'service'),
  role,
  hardwareBacked: fc.boolean(),
  notAfter: seconds,
});

export const registration: fc.Arbitrary<KeyRegistration> = kem.chain((name) =>
  fc.record({
    tenantId,
    address,
    signingKey,
    kem: fc.constant(name),
    kemKey: kemKey(name),
    challengeAnswer: bytes(32),
    at: seconds,
  }),
);

export const certificate: fc.Arbitrary<KeyCertificate> = fc.tuple(kem, kind).chain(([name, of]) =>
  fc.record({
    tenantId,
    address,
    kind: fc.constant(of),
    role,
    hardwareBacked: fc.boolean(),
    signingKey: of === 'person' || of === 'service' ? signingKey : fc.constant(undefined),
    kem: fc.constant(name),
    kemKey: kemKey(name),
    issuedAt: seconds,
    serial: fc.integer({ min: 0, max: 2 ** 31 }),
  }),
);

export const revocation: fc.Arbitrary<KeyRevocation> = fc.record({
  tenantId,
  address,
  serial: fc.integer({ min: 0, max: 2 ** 31 }),
  at: seconds,
});

export const tenantOrder: fc.Arbitrary<TenantOrder> = fc.record({
  tenantId,
  name: fc.string({ minLength: 1, maxLength: 100 }),
  domain,
  admin: address,
  enrolmentKey: signingKey,
  notAfter: seconds,
});

export const custodyOrder: fc.Arbitrary<CustodyOrder> = fc.record({
  tenantId,
  action: fc.constantFrom('rotate-organisation-key', 'recover', 'holding-key'),
  subject: fc.string({ maxLength: 100 }),
  nonce: bytes(16),
  at: seconds,
});

export const SIGNED_TYPES: readonly SignedType[] = [
  'astis/payload',
  'astis/statement',
  'astis/rewrap-link',
  'astis/key-certificate',
  'astis/key-registration',
  'astis/enrolment',
  'astis/enrolment-grant',
  'astis/key-revocation',
  'astis/tenant-order',
  'astis/custody-order',
];

export const sign1: fc.Arbitrary<Sign1> = fc.record({
  type: fc.constantFrom(...SIGNED_TYPES),
  keyId,
  payload: fc.uint8Array({ maxLength: 300 }),
  signature: bytes(64),
});
