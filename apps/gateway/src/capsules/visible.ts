/** Who may see an artifact: its sealer and admins all of it, a recipient the own capsule, others nothing. */
import type { Address, ArtifactId } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import type { Tx } from '@astis/store';
import { capsules } from '@astis/store';
import type { Caller } from '../http/authentication.ts';

export const NO_ARTIFACT = 'There is no such artifact here, or it is not for you.';

/** Throws `not_found` for who may see nothing: the same answer as for an id that does not exist. */
export async function visibleArtifact(
  tx: Tx,
  caller: Caller,
  id: ArtifactId,
): Promise<{
  readonly artifact: Awaited<ReturnType<typeof capsules.getArtifact>>;
  readonly only: Address | undefined;
}> {
  const artifact = await capsules.getArtifact(tx, caller.tenantId, id);
  if (artifact.sealer === caller.address || caller.role === 'admin') return { artifact, only: undefined };
  const own = await capsules.listCapsules(tx, caller.tenantId, [id], caller.address);
  if (own.length === 0) throw new ProblemError('not_found', NO_ARTIFACT);
  return { artifact, only: caller.address };
}
