import { parseTenantId } from '@astis/protocol';
import { custodyTenants } from '@astis/store';
import type { Handler } from '../calls/handler.ts';
import { GATEWAY, granted } from '../calls/handler.ts';
import { loadTenant } from '../tenants/tenant.ts';

/** `checkpoint.last`: from where the next consistency proof must start. */
export const lastCheckpoint: Handler<'checkpoint.last'> = async (params) => {
  const tenantId = parseTenantId(params.tenantId);
  return {
    tenantId,
    async commit(tx) {
      await loadTenant(tx);
      const { size } = await custodyTenants.signedHead(tx, tenantId);
      return { result: { size }, events: [granted('checkpoint.last', GATEWAY, '', { size })] };
    },
  };
};
