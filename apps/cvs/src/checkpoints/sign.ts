import { EMPTY_ROOT, verifyConsistency } from '@astis/audit';
import { fromBase64Url, ProblemError, parseTenantId, toBase64Url } from '@astis/protocol';
import { custodyTenants } from '@astis/store';
import type { Handler } from '../calls/handler.ts';
import { GATEWAY, granted } from '../calls/handler.ts';
import { loadTenant, sealedKey } from '../tenants/tenant.ts';

/** A consistency proof has at most two hashes for each of 53 levels. */
const MAX_PROOF = 128;

/**
 * `checkpoint.sign`: signs a tree head that continues the last one which was signed, and keeps it before it answers.
 * A log that shrank or forked is refused as `log_inconsistent`. A proof from another size than the last signed one is
 * `version_conflict`: another gateway was faster, or this one's store is not the one that it was; `checkpoint.last`
 * tells which.
 */
export const signCheckpoint: Handler<'checkpoint.sign'> = async (params, services) => {
  const tenantId = parseTenantId(params.tenantId);
  const { size, oldSize } = params;
  const root = fromBase64Url(params.root);
  if (params.proof.length > MAX_PROOF || root.length !== 32 || size < 0 || oldSize < 0)
    throw new ProblemError('invalid_request', 'Not a tree head with a consistency proof.');
  const proof = params.proof.map(fromBase64Url);
  return {
    tenantId,
    async commit(tx) {
      const { tenant, checkpoint } = await loadTenant(tx);
      const last = await custodyTenants.signedHead(tx, tenantId);
      if (oldSize !== last.size)
        throw new ProblemError('version_conflict', `The last signed checkpoint has ${last.size} entries.`);
      // Before the first one there is the empty log, which every log continues.
      const continues = verifyConsistency(last.size, size, last.root ?? EMPTY_ROOT, root, proof);
      if (!continues)
        throw new ProblemError(
          'log_inconsistent',
          'The log does not continue the one that was signed before.',
        );
      const note = await services.workers.run({
        kind: 'sign-checkpoint',
        tenantId,
        checkpoint: sealedKey(checkpoint),
        origin: tenant.logOrigin,
        size,
        root,
      });
      await custodyTenants.setSignedHead(tx, tenantId, size, root);
      const event = granted('checkpoint.sign', GATEWAY, '', { from: oldSize, size, root: toBase64Url(root) });
      return { result: { note }, events: [event] };
    },
  };
};
