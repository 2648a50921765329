/** Sealing: everything but the payload. */
import type { SealedHeader } from '@astis/crypto';
import {
  dekCommitment,
  erase,
  newArtifactId,
  newDek,
  sealHeader,
  signStatement,
  wrapDekToMany,
} from '@astis/crypto';
import type { Address, Dek, Statement } from '@astis/protocol';
import { Artifact, CapsulesCreated, toBase64Url } from '@astis/protocol';
import type { Static } from 'typebox';
import type { Client } from './client.ts';
import type { RecipientKey } from './directory.ts';
import { SdkError } from './errors.ts';

export interface Sealing {
  readonly header: SealedHeader;
  readonly dek: Dek;
  readonly statement: Statement;
  /** Stores the capsules. May run beside the encryption of the payload; both must be done before either counts. */
  register(): Promise<Static<typeof Artifact>>;
  /** Takes the capsules back when the payload could not be written. */
  abandon(): Promise<void>;
}

/** Chooses the DEK, wraps it to every recipient and signs the statement. */
export async function prepareSealing(
  client: Client,
  recipients: readonly RecipientKey[],
  options: { readonly ttlSeconds: number; readonly labels: readonly string[] },
): Promise<Sealing> {
  const { tenant, address, signer } = client.identity;
  const artifactId = newArtifactId();
  const dek = newDek();
  const header = sealHeader({
    dek,
    artifactId,
    tenantId: tenant.tenantId,
    sealer: address,
    sealerKey: signer.publicKey,
  });
  const commitment = dekCommitment(dek, artifactId);
  const context = { artifactId, headerHash: header.hash, commitment, tenantId: tenant.tenantId };
  const wraps = await wrapDekToMany(dek, recipients, context);
  const sealedAt = Math.floor(Date.now() / 1000);
  const statement: Statement = {
    ...context,
    sealer: address,
    sealedAt,
    notAfter: sealedAt + options.ttlSeconds,
    recipients: recipients.map(({ address: to, keyId }) => ({ address: to, keyId })),
    labels: options.labels,
  };
  const item = {
    statement: toBase64Url(await signStatement(statement, signer)),
    wraps: wraps.map(({ address: to, wrap }) => ({ address: to, wrap: toBase64Url(wrap) })),
  };
  return {
    header,
    dek,
    statement,
    async register() {
      const { items } = await client.write(
        'POST',
        '/v1/capsules',
        { items: [item] },
        CapsulesCreated,
        crypto.randomUUID(),
      );
      const [artifact] = items;
      if (artifact?.artifactId !== artifactId)
        throw new SdkError('answer_untrusted', 'Another artifact was stored.');
      return artifact;
    },
    async abandon() {
      erase(dek);
      await revoke(client, artifactId, undefined, 'sealing failed').catch(() => undefined);
    },
  };
}

export const show = (client: Client, artifactId: string) =>
  client.get(`/v1/artifacts/${artifactId}`, Artifact);

export const revoke = (
  client: Client,
  artifactId: string,
  addresses: readonly Address[] | undefined,
  reason?: string,
) =>
  client.write(
    'POST',
    `/v1/artifacts/${artifactId}/revoke`,
    { ...(addresses === undefined ? {} : { addresses }), ...(reason === undefined ? {} : { reason }) },
    Artifact,
    crypto.randomUUID(),
  );

/** Moves the end of release. Past the statement's ceiling a new statement is signed, which only the sealer can do. */
export async function setExpiry(
  client: Client,
  artifactId: string,
  addresses: readonly Address[] | undefined,
  expiresAt: Date,
  statementNow: Statement,
) {
  const end = Math.floor(expiresAt.getTime() / 1000);
  const current = await show(client, artifactId);
  const isExpired = current.capsules.some(({ status }) => status === 'expired');
  const needsStatement =
    (end > statementNow.notAfter || isExpired) && statementNow.sealer === client.identity.address;
  const sealedAt = Math.floor(Date.now() / 1000);
  const statement = needsStatement
    ? toBase64Url(
        await signStatement(
          { ...statementNow, sealedAt, notAfter: Math.max(end, statementNow.notAfter + 1) },
          client.identity.signer,
        ),
      )
    : undefined;
  return client.write(
    'POST',
    `/v1/artifacts/${artifactId}/ttl`,
    {
      expiresAt: new Date(end * 1000).toISOString(),
      ...(addresses === undefined ? {} : { addresses }),
      ...(statement === undefined ? {} : { statement }),
    },
    Artifact,
    crypto.randomUUID(),
  );
}
