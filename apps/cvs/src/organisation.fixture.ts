/** Organisations, people and sealed artifacts for tests: what admins, members and sealers do on their own machines. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { KemKeyPair, Signer } from '@astis/crypto';
import {
  dekCommitment,
  localSigner,
  localUnwrapper,
  newArtifactId,
  newDek,
  newKemKeyPair,
  newSigningKey,
  openChallenge,
  signEnrolment,
  signObject,
  signStatement,
  verifyCertificate,
  wrapDekToMany,
} from '@astis/crypto';
import type {
  Address,
  ArtifactId,
  CustodyCapsule,
  CustodyOrder,
  CustodyResult,
  Dek,
  EnrolmentGrant,
  HeaderHash,
  KemName,
  KeyCertificate,
  KeyRegistration,
  KeyRevocation,
  SigningPublicKey,
  Statement,
  TenantId,
  TenantOrder,
} from '@astis/protocol';
import {
  encodeCustodyOrder,
  encodeGrant,
  encodeRevocation,
  encodeTenantOrder,
  fromBase64Url,
  kemKeyId,
  parseAddress,
  parseTenantId,
  toBase64Url,
} from '@astis/protocol';
import type { Deployment } from './deployment.fixture.ts';

export const now = (): number => Math.floor(Date.now() / 1000);
export const HOUR = 3600;

export interface Member {
  readonly address: Address;
  readonly signer: Signer;
  readonly kem: KemKeyPair;
  readonly certificate: KeyCertificate;
  readonly certificateBytes: Uint8Array;
}

export interface Sealed {
  readonly dek: Dek;
  readonly statement: Statement;
  readonly artifactId: ArtifactId;
  /** The capsule for this address, as the gateway would send it. */
  capsule(address: Address): CustodyCapsule;
}

export class Organisation {
  readonly deployment: Deployment;
  readonly tenantId: TenantId;
  readonly domain: string;
  readonly order: Uint8Array;
  readonly adminAddress: Address;
  readonly #adminCode: Signer;
  #keys: CustodyResult<'tenant.create'> | undefined;
  #admin: Member | undefined;

  constructor(
    deployment: Deployment,
    tenantId: TenantId,
    domain: string,
    order: Uint8Array,
    adminCode: Signer,
  ) {
    this.deployment = deployment;
    this.tenantId = tenantId;
    this.domain = domain;
    this.order = order;
    this.adminAddress = parseAddress(`admin@${domain}`);
    this.#adminCode = adminCode;
  }

  get keys(): CustodyResult<'tenant.create'> {
    if (this.#keys === undefined) throw new Error('the tenant was not made');
    return this.#keys;
  }

  get admin(): Member {
    if (this.#admin === undefined) throw new Error('the first admin did not enrol');
    return this.#admin;
  }

  get identityKey(): SigningPublicKey {
    return fromBase64Url(this.keys.identityKey) as SigningPublicKey;
  }

  async make(): Promise<void> {
    this.#keys = await this.deployment.call('tenant.create', { order: toBase64Url(this.order) });
  }

  async enrolAdmin(): Promise<void> {
    this.#admin = await this.enrolWith(this.adminAddress, this.#adminCode, undefined);
  }

  address(name: string): Address {
    return parseAddress(`${name}@${this.domain}`);
  }

  grant(
    fields: Partial<EnrolmentGrant> & Pick<EnrolmentGrant, 'address' | 'enrolmentKey'>,
    by?: Signer,
  ): Promise<Uint8Array> {
    const grant: EnrolmentGrant = {
      tenantId: this.tenantId,
      kind: 'person',
      role: 'member',
      hardwareBacked: false,
      notAfter: now() + HOUR,
      ...fields,
    };
    return signObject('astis/enrolment-grant', encodeGrant(grant), by ?? this.admin.signer);
  }

  /** Asks for the challenge, answers it, and signs the enrolment. */
  async registration(
    address: Address,
    code: Signer,
    signer: Signer,
    kem: KemKeyPair,
    changes: Partial<KeyRegistration> = {},
  ): Promise<Uint8Array> {
    const sealed = await this.deployment.call('enrolment.challenge', {
      tenantId: this.tenantId,
      kem: kem.kem,
      kemKey: toBase64Url(kem.publicKey),
    });
    const challenge = { enc: fromBase64Url(sealed.enc), ciphertext: fromBase64Url(sealed.ciphertext) };
    const challengeAnswer = await openChallenge(challenge, await localUnwrapper(kem.kem, kem.privateKey));
    return signEnrolment(
      {
        tenantId: this.tenantId,
        address,
        signingKey: signer.publicKey,
        kem: kem.kem,
        kemKey: kem.publicKey,
        challengeAnswer,
        at: now(),
        ...changes,
      },
      signer,
      code,
    );
  }

  async enrolWith(
    address: Address,
    code: Signer,
    grant: Uint8Array | undefined,
    kemName: KemName = 'X-Wing',
  ): Promise<Member> {
    const signer = localSigner(newSigningKey());
    const kem = await newKemKeyPair(kemName);
    const enrolment = await this.registration(address, code, signer, kem);
    const { certificate } = await this.deployment.call('enrolment.certify', {
      tenantId: this.tenantId,
      enrolment: toBase64Url(enrolment),
      ...(grant === undefined ? {} : { grant: toBase64Url(grant) }),
    });
    const certificateBytes = fromBase64Url(certificate);
    return {
      address,
      signer,
      kem,
      certificateBytes,
      certificate: verifyCertificate(certificateBytes, this.identityKey, this.tenantId),
    };
  }

  async enrol(name: string, fields: Partial<EnrolmentGrant> = {}, kem: KemName = 'X-Wing'): Promise<Member> {
    const address = fields.address ?? this.address(name);
    const code = localSigner(newSigningKey());
    const grant = await this.grant({ ...fields, address, enrolmentKey: code.publicKey });
    return this.enrolWith(address, code, grant, kem);
  }

  /** A custody order; returns what to send. */
  async custodyOrder(
    fields: Partial<CustodyOrder> & Pick<CustodyOrder, 'action'>,
    by: Signer = this.admin.signer,
  ): Promise<string> {
    const order: CustodyOrder = {
      tenantId: this.tenantId,
      subject: '',
      nonce: randomBytes(16),
      at: now(),
      ...fields,
    };
    return toBase64Url(await signObject('astis/custody-order', encodeCustodyOrder(order), by));
  }

  async holding(address: Address, by: Member = this.admin): Promise<KeyCertificate> {
    const order = await this.custodyOrder({ action: 'holding-key', subject: address }, by.signer);
    const { certificate } = await this.deployment.call('holding.create', { tenantId: this.tenantId, order });
    return verifyCertificate(fromBase64Url(certificate), this.identityKey, this.tenantId);
  }

  /** The certificate of the newest organisation key. */
  async recoveryCertificate(): Promise<KeyCertificate> {
    const keys = await this.deployment.call('tenant.keys', { tenantId: this.tenantId });
    return verifyCertificate(fromBase64Url(keys.organisationCertificate), this.identityKey, this.tenantId);
  }

  async revocation(
    member: Member,
    fields: Partial<KeyRevocation> = {},
    by: Signer = this.admin.signer,
  ): Promise<string> {
    const revocation: KeyRevocation = {
      tenantId: this.tenantId,
      address: member.address,
      serial: member.certificate.serial,
      at: now(),
      ...fields,
    };
    return toBase64Url(await signObject('astis/key-revocation', encodeRevocation(revocation), by));
  }

  /** Seals a fresh DEK to certificates of this organisation. */
  async seal(
    sealer: Member,
    to: readonly KeyCertificate[],
    changes: Partial<Statement> = {},
    dek: Dek = newDek(),
  ): Promise<Sealed> {
    const artifactId = changes.artifactId ?? newArtifactId();
    const context = {
      artifactId,
      headerHash: randomBytes(32) as Uint8Array as HeaderHash,
      commitment: dekCommitment(dek, artifactId),
      tenantId: this.tenantId,
    };
    const statement: Statement = {
      ...context,
      sealer: sealer.address,
      sealedAt: now(),
      notAfter: now() + HOUR,
      recipients: to.map(({ address, kem, kemKey }) => ({ address, keyId: kemKeyId(kem, kemKey) })),
      labels: [],
      ...changes,
    };
    const wraps = await wrapDekToMany(dek, to, context);
    const signed = toBase64Url(await signStatement(statement, sealer.signer));
    return {
      dek,
      statement,
      artifactId,
      capsule(address) {
        const mine = wraps.find((wrap) => wrap.address === address);
        if (mine === undefined) throw new Error('no wrap for that address');
        return {
          ref: artifactId,
          statement: signed,
          sealerCertificate: toBase64Url(sealer.certificateBytes),
          wrap: toBase64Url(mine.wrap),
          links: [],
          address,
        };
      },
    };
  }
}

export async function newTenantOrder(
  operator: Signer,
  fields: Partial<TenantOrder> & Pick<TenantOrder, 'enrolmentKey'>,
): Promise<{ readonly order: TenantOrder; readonly bytes: Uint8Array }> {
  const domain = fields.domain ?? `t${randomBytes(4).toString('hex')}.test`;
  const order: TenantOrder = {
    tenantId: parseTenantId(randomUUID()),
    name: 'An organisation',
    domain,
    admin: parseAddress(`admin@${domain}`),
    notAfter: now() + HOUR,
    ...fields,
  };
  return { order, bytes: await signObject('astis/tenant-order', encodeTenantOrder(order), operator) };
}

/** An organisation with its first admin. */
export async function newOrganisation(deployment: Deployment): Promise<Organisation> {
  const code = localSigner(newSigningKey());
  const { order, bytes } = await newTenantOrder(deployment.operator, { enrolmentKey: code.publicKey });
  const organisation = new Organisation(deployment, order.tenantId, order.domain, bytes, code);
  await organisation.make();
  await organisation.enrolAdmin();
  return organisation;
}
