/** Artifacts and capsules as the API shows them. */
import type { Address, Artifact, ArtifactId, Capsule, TenantId } from '@astis/protocol';
import { toBase64Url } from '@astis/protocol';
import type { Tx } from '@astis/store';
import { capsules } from '@astis/store';

type ArtifactRecord = Awaited<ReturnType<typeof capsules.getArtifact>>;
type CapsuleRecord = Awaited<ReturnType<typeof capsules.listCapsules>>[number];

export const capsuleShown = (capsule: CapsuleRecord): Capsule => ({
  id: capsule.id,
  artifactId: capsule.artifactId,
  address: capsule.address,
  keyId: capsule.keyId,
  kind: capsule.kind,
  status: capsule.status,
  expiresAt: capsule.expiresAt.toISOString(),
  createdAt: capsule.createdAt.toISOString(),
  releases: capsule.releases,
  ...(capsule.lastReleasedAt === undefined ? {} : { lastReleasedAt: capsule.lastReleasedAt.toISOString() }),
});

export const summaryShown = (artifact: ArtifactRecord) => ({
  artifactId: artifact.artifactId,
  sealer: artifact.sealer,
  labels: [...artifact.labels],
  sealedAt: artifact.sealedAt.toISOString(),
  notAfter: artifact.notAfter.toISOString(),
});

/** `only`: whose capsule alone may be seen; undefined: all. */
export async function artifactShown(
  tx: Tx,
  tenantId: TenantId,
  id: ArtifactId,
  only?: Address,
): Promise<Artifact> {
  const artifact = await capsules.getArtifact(tx, tenantId, id);
  const list = await capsules.listCapsules(tx, tenantId, [id], only);
  return {
    ...summaryShown(artifact),
    statement: toBase64Url(artifact.statement),
    capsules: list.map(capsuleShown),
  };
}
