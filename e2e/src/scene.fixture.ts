/** A running stack with organisations in it, and the hands of an attacker who owns the store. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExportReport } from '@astis/audit';
import { parseVerifierKey, verifyExport } from '@astis/audit';
import type { SealedHeader } from '@astis/crypto';
import { openEnvelope, sealEnvelope, sourceOf } from '@astis/crypto';
import type { Address, ArtifactId, KeyId, Receipt, Release, Statement } from '@astis/protocol';
import { fromBase64Url } from '@astis/protocol';
import type { Pins } from '@astis/sdk';
import { lookUp, openRelease, prepareSealing, requestRelease } from '@astis/sdk';
import type { Connection } from '@astis/store';
import { Database } from '@astis/store';
import type { Member, Stack, StackOptions } from '@astis/testkit';
import { freePort, startStack, temporaryFolder } from '@astis/testkit';

export interface Scene {
  readonly stack: Stack;
  /** Folder of all that the stack keeps. */
  readonly home: string;
  /** The gateway's database as PostgreSQL's superuser, whom row-level security does not bind. */
  readonly gatewayStore: Database;
  stop(): Promise<void>;
}

/** A stack on a folder and ports of its own, so that test files can run beside each other. */
export async function startScene(options: Omit<StackOptions, 'home'> = {}): Promise<Scene> {
  const folder = temporaryFolder();
  const home = folder.path;
  writeFileSync(
    join(home, 'ports.json'),
    JSON.stringify({ gateway: await freePort(), cvs: await freePort() }),
  );
  const stack = await startStack({ home, ...options });
  const superuser: Connection = { ...stack.postgres.superuser, database: 'astis_gateway' };
  const gatewayStore = new Database(superuser, 2);
  return {
    stack,
    home,
    gatewayStore,
    async stop() {
      await gatewayStore.close();
      await stack.stop();
      folder.remove();
    },
  };
}

/** Pins that last as long as the test. */
export function freshPins(): Pins & { readonly seen: ReadonlyMap<Address, KeyId> } {
  const seen = new Map<Address, KeyId>();
  return {
    seen,
    get: (address) => seen.get(address),
    set: (address, keyId) => void seen.set(address, keyId),
  };
}

export interface SealedArtifact {
  readonly artifactId: ArtifactId;
  readonly header: SealedHeader;
  readonly statement: Statement;
  /** What would lie in a mailbox or a bucket. */
  readonly envelope: Uint8Array;
}

const HOUR = 3600;

export async function seal(
  from: Member,
  to: readonly Address[],
  plaintext: string,
  options: { readonly ttlSeconds?: number; readonly labels?: readonly string[] } = {},
): Promise<SealedArtifact> {
  const recipients = await lookUp(from.client, to, freshPins());
  const { ttlSeconds = HOUR, labels = [] } = options;
  const sealing = await prepareSealing(from.client, recipients, { ttlSeconds, labels });
  const bytes = new TextEncoder().encode(plaintext);
  const envelope = await sealEnvelope(bytes, sealing.header, sealing.dek, from.identity.signer);
  await sealing.register();
  const { header, statement } = sealing;
  return { artifactId: statement.artifactId, header, statement, envelope };
}

/** The plaintext, and the receipt of the release that it took. Does all that a recipient's client does. */
export async function open(
  recipient: Member,
  artifact: Pick<SealedArtifact, 'artifactId' | 'header' | 'envelope'>,
  release?: Release,
): Promise<{ readonly text: string; readonly receipt: Receipt }> {
  const released = release ?? (await requestRelease(recipient.client, artifact.artifactId));
  const { key, receipt } = await openRelease(recipient.client, released, artifact.header);
  const reader = await openEnvelope(sourceOf(artifact.envelope), key);
  return { text: new TextDecoder().decode(await reader.read(0, reader.plaintextBytes)), receipt };
}

/** The stable code that a promise is refused with; `none` when it is not refused. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
    throw error;
  }
}

export const idBytes = (id: string): Uint8Array => fromBase64Url(id);

interface LoggedEvent {
  readonly kind: string;
  readonly actor: string;
  readonly subject?: string;
  readonly code?: string;
}

/** The whole log as an auditor gets it. */
export async function exportLog(admin: Member): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const line of await admin.client.lines('/v1/audit/export')) lines.push(line);
  return lines;
}

export const eventsIn = (lines: readonly string[]): readonly LoggedEvent[] =>
  lines.flatMap((line) => {
    const entry: { readonly event?: LoggedEvent } = JSON.parse(line);
    return entry.event === undefined ? [] : [entry.event];
  });

/** Verifies offline, under the keys that were pinned at enrolment. */
export function verifyLog(
  { identity: { tenant } }: Member,
  lines: readonly string[],
  receipts: readonly Receipt[] = [],
): Promise<ExportReport> {
  return verifyExport(
    lines,
    {
      checkpointKeys: [parseVerifierKey(tenant.checkpointKey)],
      receiptKeys: [parseVerifierKey(tenant.receiptKey)],
    },
    { tenant: tenant.tenantId, origin: tenant.logOrigin, receipts },
  );
}
