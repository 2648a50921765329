import { ORGANISATION, ProblemError, parseKeyId, parseTenantId } from '@astis/protocol';
import { custodyKeys } from '@astis/store';
import type { Handler } from '../calls/handler.ts';
import { GATEWAY, granted } from '../calls/handler.ts';

/**
 * `organisation.retire`: destroys an older organisation key for good. Nobody's signature authorises it, so all that a
 * stolen gateway can do with it is to lose what it could have deleted from its own store.
 */
export const retireOrganisation: Handler<'organisation.retire'> = async (params) => {
  const tenantId = parseTenantId(params.tenantId);
  const keyId = parseKeyId(params.keyId);
  return {
    tenantId,
    async commit(tx) {
      const [newest, ...older] = await custodyKeys.listKeys(tx, tenantId, 'organisation', ORGANISATION);
      if (newest?.keyId === keyId)
        throw new ProblemError('target_refused', 'The newest organisation key can not be retired.');
      if (!older.some((key) => key.keyId === keyId))
        throw new ProblemError('not_found', 'There is no such organisation key.');
      const destroyed = await custodyKeys.destroyKey(tx, tenantId, keyId);
      const event = granted('organisation.retire', GATEWAY, '', { key: keyId, repeated: !destroyed });
      return { result: { retired: true }, events: [event] };
    },
  };
};
