/** Has the CVS sign the log as it stands. The CVS signs only what continues what it signed before. */
import { consistencyProof, rootOf } from '@astis/audit';
import type { TenantId } from '@astis/protocol';
import { toBase64Url } from '@astis/protocol';
import { logSize, nodeReader, tenants } from '@astis/store';
import type { Gateway } from '../gateway.ts';

export interface SignedCheckpoint {
  readonly size: number;
  readonly note: string;
}

export async function makeCheckpoint(
  { store, custody }: Pick<Gateway, 'store' | 'custody'>,
  tenantId: TenantId,
): Promise<SignedCheckpoint> {
  const { newest, log } = await store.transaction(tenantId, async (tx) => ({
    newest: await tenants.newestCheckpoint(tx, tenantId),
    log: await logSize(tx, tenantId),
  }));
  if (newest !== undefined && newest.size === log.size) return newest;
  const { size: oldSize } = await custody.call('checkpoint.last', { tenantId });
  const proof = await store.transaction(tenantId, (tx) =>
    oldSize === 0 || oldSize === log.size
      ? Promise.resolve([])
      : consistencyProof(nodeReader(tx, tenantId), oldSize, log.size),
  );
  const { note } = await custody.call('checkpoint.sign', {
    tenantId,
    size: log.size,
    root: toBase64Url(rootOf(log)),
    oldSize,
    proof: proof.map(toBase64Url),
  });
  await store.transaction(tenantId, (tx) => tenants.saveCheckpoint(tx, tenantId, log.size, note));
  return { size: log.size, note };
}
