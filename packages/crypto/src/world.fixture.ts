/** A tenant with people, and a sealed artifact with its capsules: the honest case that attacks start from. */
import type {
  Address,
  KemName,
  KeyCertificate,
  Statement,
  SubjectKind,
  TenantId,
} from '@astis/protocol/formats';
import { ORGANISATION, parseAddress, parseTenantId } from '@astis/protocol/formats';
import type { CapsuleBytes, TrustedTenant } from './capsule.ts';
import { newArtifactId, newDek } from './dek.ts';
import { sealEnvelope } from './envelope.ts';
import { sealHeader } from './header.ts';
import { signCertificate } from './identity.ts';
import type { Unwrapper } from './kem.ts';
import { localUnwrapper, newKemKeyPair } from './kem.ts';
import type { Signer } from './signing.ts';
import { localSigner, newSigningKey } from './signing.ts';
import { signStatement } from './statements.ts';
import { wrapDekToMany } from './wraps.ts';

export const TENANT: TenantId = parseTenantId('11111111-1111-4111-8111-111111111111');
export const OTHER_TENANT: TenantId = parseTenantId('22222222-2222-4222-8222-222222222222');
export const ALICE: Address = parseAddress('alice@example.org');
export const BOB: Address = parseAddress('bob@example.org');
export const CAROL: Address = parseAddress('carol@example.org');

export interface Subject {
  readonly address: Address;
  readonly signer: Signer;
  readonly unwrapper: Unwrapper;
  readonly certificate: KeyCertificate;
  readonly certificateBytes: Uint8Array;
}

let serial = 0;

export async function subject(
  address: Address,
  identity: Signer,
  {
    kem = 'X25519',
    kind = 'person',
    tenantId = TENANT,
  }: { kem?: KemName; kind?: SubjectKind; tenantId?: TenantId } = {},
): Promise<Subject> {
  const signer = localSigner(newSigningKey());
  const pair = await newKemKeyPair(kem);
  serial++;
  const certificate: KeyCertificate = {
    tenantId,
    address,
    kind,
    role: 'member',
    hardwareBacked: false,
    signingKey: kind === 'person' || kind === 'service' ? signer.publicKey : undefined,
    kem,
    kemKey: pair.publicKey,
    issuedAt: 1_790_000_000,
    serial,
  };
  return {
    address,
    signer,
    unwrapper: await localUnwrapper(kem, pair.privateKey),
    certificate,
    certificateBytes: await signCertificate(certificate, identity),
  };
}

export async function world(kem: KemName = 'X25519') {
  const identity = localSigner(newSigningKey());
  const trusted: TrustedTenant = { tenantId: TENANT, identityKey: identity.publicKey };
  const alice = await subject(ALICE, identity, { kem });
  const bob = await subject(BOB, identity, { kem });
  const carol = await subject(CAROL, identity, { kem });
  const organisation = await subject(ORGANISATION, identity, { kem, kind: 'organisation' });
  return { identity, trusted, alice, bob, carol, organisation };
}

export type World = Awaited<ReturnType<typeof world>>;

/** An artifact of Alice's, sealed to `recipients`. */
export async function artifact({ alice }: World, recipients: readonly Subject[], plaintext: Uint8Array) {
  const dek = newDek();
  const header = sealHeader({
    dek,
    artifactId: newArtifactId(),
    tenantId: TENANT,
    sealer: ALICE,
    sealerKey: alice.signer.publicKey,
  });
  const { artifactId, commitment } = header.header;
  const context = { artifactId, headerHash: header.hash, commitment, tenantId: TENANT };
  const wraps = await wrapDekToMany(
    dek,
    recipients.map(({ address, certificate: { kem, kemKey } }) => ({ address, kem, kemKey })),
    context,
  );
  const statement: Statement = {
    ...context,
    sealer: ALICE,
    sealedAt: 1_790_000_000,
    notAfter: 1_790_007_200,
    recipients: wraps.map(({ address, keyId }) => ({ address, keyId })),
    labels: [],
  };
  const statementBytes = await signStatement(statement, alice.signer);
  const capsules: CapsuleBytes[] = wraps.map(({ address, wrap }) => ({
    address,
    wrap,
    links: [],
    statement: statementBytes,
    sealerCertificate: alice.certificateBytes,
  }));
  const envelope = await sealEnvelope(plaintext, header, dek, alice.signer);
  return { dek, header, context, wraps, statement, statementBytes, capsules, envelope };
}

export function first<T>(list: readonly T[]): T {
  const [item] = list;
  if (item === undefined) throw new Error('nothing there');
  return item;
}

/** A copy with one bit of one byte turned. */
export function flipped(bytes: Uint8Array, at: number, bit = 0): Uint8Array {
  const out = Uint8Array.from(bytes);
  out[at] = (out[at] ?? 0) ^ (1 << bit);
  return out;
}
