import { parseTenantId } from '@astis/protocol';
import type { Handler } from '../calls/handler.ts';
import { GATEWAY, granted } from '../calls/handler.ts';
import { loadTenant, tenantKeysOf } from './tenant.ts';

/** `tenant.keys`: public keys, for whoever asks. */
export const tenantKeys: Handler<'tenant.keys'> = async (params) => ({
  tenantId: parseTenantId(params.tenantId),
  async commit(tx) {
    return { result: tenantKeysOf(tx, await loadTenant(tx)), events: [granted('tenant.keys', GATEWAY, '')] };
  },
});
