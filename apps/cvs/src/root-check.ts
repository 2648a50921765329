/** Refuses to serve under another root key than the one that the store was begun with. */
import { ORGANISATION } from '@astis/protocol';
import { custodyKeys } from '@astis/store';
import type { Services } from './calls/handler.ts';
import { PLATFORM } from './calls/platform.ts';
import { sealedKey } from './tenants/tenant.ts';
import { RootKeyError } from './worker/root-key.ts';

const PURPOSE = 'identity';

/**
 * Opens a key that was sealed when the store was new; it serves for nothing else. Makes the platform's log, and that
 * key, on the first start. @throws RootKeyError `root_key_wrong`, and what keeps workers from starting
 */
export async function checkRootKey({ store, workers, logPrefix }: Services): Promise<void> {
  const tenantId = PLATFORM;
  await store.createLog(tenantId, `${logPrefix}/custody/platform`);
  await store.append(tenantId, async (tx) => {
    const [marker] = await custodyKeys.listKeys(tx, tenantId, PURPOSE, ORGANISATION);
    if (marker === undefined) {
      const key = await workers.run({ kind: 'make-signing-key', tenantId, purpose: PURPOSE });
      const owner = { purpose: PURPOSE, address: ORGANISATION, generation: 1, kem: undefined } as const;
      await custodyKeys.insertKey(tx, tenantId, { ...key, ...owner });
    } else if (!(await workers.run({ kind: 'probe', tenantId, key: sealedKey(marker) }))) {
      throw new RootKeyError('root_key_wrong');
    }
    return { result: undefined, events: [{ kind: 'start', actor: 'system', subject: '' }] };
  });
}
