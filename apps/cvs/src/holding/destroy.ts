import { canonicalAddress, ProblemError, parseTenantId } from '@astis/protocol';
import { custodyCertificates, custodyKeys } from '@astis/store';
import type { Handler } from '../calls/handler.ts';
import { GATEWAY, granted } from '../calls/handler.ts';

/**
 * `holding.destroy`: destroys all holding keys of an address that has a key of its own by now. Nobody's signature
 * authorises it: a stolen gateway can lose with it what it could have deleted from its own store, for people who
 * enrolled, and nothing of those who didn't yet.
 */
export const destroyHolding: Handler<'holding.destroy'> = async (params) => {
  const tenantId = parseTenantId(params.tenantId);
  const address = canonicalAddress(params.address);
  return {
    tenantId,
    async commit(tx) {
      const live = await custodyCertificates.liveCertificate(tx, tenantId, address);
      if (live?.signingKeyId === undefined)
        throw new ProblemError('target_refused', 'The address has no key of its own yet.');
      const destroyed: string[] = [];
      for (const { keyId } of await custodyKeys.listKeys(tx, tenantId, 'holding', address))
        if (await custodyKeys.destroyKey(tx, tenantId, keyId)) destroyed.push(keyId);
      const event = granted('holding.destroy', GATEWAY, address, { keys: destroyed });
      return { result: { destroyed: destroyed.length > 0 }, events: [event] };
    },
  };
};
