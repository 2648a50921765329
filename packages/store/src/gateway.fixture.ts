/** For tests: real servers of both versions, gateway databases on them, and organisations with people in them. */
import { generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { NoteSigningKey, VerifierKey } from '@astis/audit';
import { verifierKey } from '@astis/audit';
import type { PolicyDocument } from '@astis/policy';
import { defaultPolicyDocument } from '@astis/policy';
import type { Address, ArtifactId, KeyId, PersonId, SigningPublicKey, TenantId } from '@astis/protocol';
import {
  artifactIdText,
  fromBase64Url,
  keyIdText,
  parseAddress,
  parseCapsuleId,
  parsePersonId,
  parseTenantId,
} from '@astis/protocol';
import { startEmbeddedPostgres } from './embedded/index.ts';
import type { PostgresServer } from './embedded/server.ts';
import { startPostgres } from './embedded/server.ts';
import type { GatewayStore, ProvisionedDatabase, ReleaseQuestion } from './index.ts';
import { capsules, migrate, openGatewayStore, people, policies, provision, tenants } from './index.ts';

const DEBIAN_15 = { root: '/usr/lib/postgresql/15', initdbFlags: ['--locale', 'C.UTF-8'] };

/** The servers that the store's tests run on. */
export const SERVERS = [
  ['embedded PostgreSQL 18', (dataDir: string) => startEmbeddedPostgres({ dataDir })],
  ['Debian PostgreSQL 15', (dataDir: string) => startPostgres(DEBIAN_15, dataDir)],
] as const;

export interface TestServer {
  readonly folder: string;
  readonly postgres: PostgresServer;
  /** Starts the server again on the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startServer(start: (dataDir: string) => Promise<PostgresServer>): Promise<TestServer> {
  const folder = mkdtempSync('/tmp/astis-store-');
  const dataDir = join(folder, 'pg');
  let postgres = await start(dataDir);
  return {
    folder,
    get postgres() {
      return postgres;
    },
    async restart() {
      await postgres.stop();
      postgres = await start(dataDir);
    },
    async stop() {
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true });
      // Where root may not have a server below its own folders, the data lies elsewhere.
      rmSync(postgres.dataDir, { recursive: true, force: true });
    },
  };
}

export function noteKey(name: string): { readonly signing: NoteSigningKey; readonly verifier: VerifierKey } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = fromBase64Url(publicKey.export({ format: 'jwk' }).x ?? '');
  return {
    signing: {
      name,
      publicKey: raw,
      sign: (message) => new Uint8Array(sign(null, message, privateKey)),
    },
    verifier: verifierKey(name, raw),
  };
}

export const RECEIPT_KEY: ReturnType<typeof noteKey> = noteKey('astis.test/receipts');

export interface TestDatabase extends ProvisionedDatabase {
  /** Opens one more store, as another gateway process would. */
  open(poolSize?: number): GatewayStore;
  /** Closes the stores that `open` opened. */
  close(): Promise<void>;
}

/** A new, migrated gateway database. */
export async function gatewayDatabase(server: TestServer): Promise<TestDatabase> {
  const database = await provision(server.postgres.superuser, {
    database: `gateway_${randomBytes(6).toString('hex')}`,
    serviceRole: 'astis_gateway',
    ownerPassword: 'owner of the tests',
    servicePassword: 'service of the tests',
  });
  await migrate(database.owner, 'gateway');
  const stores: GatewayStore[] = [];
  return {
    ...database,
    open(poolSize = 4) {
      const store = openGatewayStore({
        connection: database.service,
        poolSize,
        receiptKey: RECEIPT_KEY.signing,
      });
      stores.push(store);
      return store;
    },
    async close() {
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}

export const newTenantId = (): TenantId => parseTenantId(randomUUID());
export const newArtifactId = (): ArtifactId => artifactIdText(new Uint8Array(randomBytes(16)));
export const newKeyId = (): KeyId => keyIdText(new Uint8Array(randomBytes(32)));

export interface TestPerson {
  readonly id: PersonId;
  readonly address: Address;
  readonly serial: number;
  readonly keyId: KeyId;
}

export interface TestOrganisation {
  readonly tenantId: TenantId;
  readonly origin: string;
  /** In the order of the addresses that were asked for; the first is the admin. */
  readonly people: readonly TestPerson[];
}

/** An organisation with its domain, policy 1 and active people, by default alice (admin), bob and carol. */
export async function newOrganisation(
  store: GatewayStore,
  plan: { readonly names?: readonly string[]; readonly policy?: PolicyDocument } = {},
): Promise<TestOrganisation> {
  const tenantId = newTenantId();
  const origin = `astis.test/log/${tenantId}`;
  const domain = `${tenantId}.test`;
  const members: TestPerson[] = [];
  await store.transaction(tenantId, async (tx) => {
    const identityKey = new Uint8Array(randomBytes(32));
    const tenant = { tenantId, name: 'Test', identityKey, checkpointKey: 'none', logOrigin: origin };
    await tenants.createTenant(tx, tenant, domain, new Uint8Array(randomBytes(32)));
    await policies.addPolicy(tx, tenantId, 0, plan.policy ?? defaultPolicyDocument, 'operator');
    for (const [i, name] of (plan.names ?? ['alice', 'bob', 'carol']).entries()) {
      const person = {
        id: parsePersonId(randomUUID()),
        address: parseAddress(`${name}@${domain}`),
        serial: i + 1,
        keyId: newKeyId(),
      };
      await people.invite(tx, tenantId, {
        ...person,
        kind: 'person',
        role: i === 0 ? 'admin' : 'member',
        groups: [],
        hardwareBacked: false,
        outsider: false,
        enrolmentKeyId: newKeyId(),
        notAfter: new Date(Date.now() + 3_600_000),
        grant: undefined,
      });
      await people.addCertificate(tx, tenantId, {
        serial: person.serial,
        address: person.address,
        kind: 'person',
        kemKeyId: person.keyId,
        certificate: new Uint8Array(randomBytes(1400)),
      });
      await people.activate(tx, tenantId, person.id, {
        serial: person.serial,
        signingKey: new Uint8Array(randomBytes(32)) as SigningPublicKey,
        signingKeyId: newKeyId(),
        kemKeyId: person.keyId,
      });
      members.push(person);
    }
  });
  return { tenantId, origin, people: members };
}

export interface TestArtifact {
  readonly artifactId: ArtifactId;
  /** By recipient. */
  readonly wraps: ReadonlyMap<Address, Uint8Array>;
  readonly statement: Uint8Array;
}

/** Seals to the recipients: bytes of the usual sizes which mean nothing, since nothing here opens them. */
export async function seal(
  store: GatewayStore,
  { tenantId }: TestOrganisation,
  sealer: TestPerson,
  recipients: readonly TestPerson[],
  plan: {
    readonly expiresAt?: Date;
    readonly labels?: readonly string[];
    readonly kind?: 'holding' | 'organisation';
  } = {},
): Promise<TestArtifact> {
  const artifactId = newArtifactId();
  const statement = new Uint8Array(randomBytes(300));
  const wraps = new Map(recipients.map(({ address }) => [address, new Uint8Array(randomBytes(1220))]));
  await store.log.append(tenantId, async (tx) => {
    await capsules.createArtifact(
      tx,
      tenantId,
      {
        artifactId,
        sealer: sealer.address,
        sealerSerial: sealer.serial,
        labels: plan.labels ?? [],
        sealedAt: new Date(),
        notAfter: plan.expiresAt ?? new Date(Date.now() + 3_600_000),
        statement,
      },
      recipients.map(({ address, keyId }) => ({
        id: parseCapsuleId(randomUUID()),
        address,
        keyId,
        kind: plan.kind ?? 'person',
        wrap: wraps.get(address) ?? new Uint8Array(0),
      })),
    );
    const events = [{ kind: 'capsule.created', actor: sealer.address, subject: artifactId }];
    return { events, finish: () => undefined };
  });
  return { artifactId, wraps, statement };
}

/** A question with a proof of its own. */
export const question = (
  person: TestPerson,
  artifactIds: readonly ArtifactId[],
  changes: Partial<ReleaseQuestion> = {},
): ReleaseQuestion => ({
  personId: person.id,
  serial: person.serial,
  proofId: randomUUID(),
  proofExpiresAt: new Date(Date.now() + 120_000),
  ip: '192.0.2.7',
  artifactIds,
  ...changes,
});
