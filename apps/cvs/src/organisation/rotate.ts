import {
  CUSTODY_METHODS,
  DEFAULT_KEM,
  fromBase64Url,
  ORGANISATION,
  ProblemError,
  parseTenantId,
  toBase64Url,
} from '@astis/protocol';
import { custodyKeys } from '@astis/store';
import { Value } from 'typebox/value';
import { takeOrder } from '../authority/order.ts';
import type { Handler } from '../calls/handler.ts';
import { granted } from '../calls/handler.ts';
import { makeOrganisationKey } from './make-key.ts';

const { result: Result } = CUSTODY_METHODS['organisation.rotate'];

/** `organisation.rotate`: on an admin's signed order. The same order again gives the same answer, and no newer key. */
export const rotateOrganisation: Handler<'organisation.rotate'> = async (params, services) => {
  const tenantId = parseTenantId(params.tenantId);
  const object = fromBase64Url(params.order);
  return {
    tenantId,
    async commit(tx) {
      const { order, signer, earlier, use } = await takeOrder(tx, object, 'rotate-organisation-key', 'admin');
      if (order.subject !== '') throw new ProblemError('order_invalid', 'The order is for something else.');
      const actor = signer.certificate.address;
      if (earlier !== undefined) {
        const result = Value.Parse(Result, earlier);
        return { result, events: [granted('organisation.rotate', actor, '', { repeated: true })] };
      }
      const [newest] = await custodyKeys.listKeys(tx, tenantId, 'organisation', ORGANISATION);
      if (newest === undefined) throw new ProblemError('not_found', 'There is no such organisation.');
      const { bytes } = await makeOrganisationKey(tx, newest.generation + 1, DEFAULT_KEM, services);
      const result = { certificate: toBase64Url(bytes), previousKeyId: newest.keyId };
      await use(result);
      const event = granted('organisation.rotate', actor, '', {
        from: newest.keyId,
        generation: newest.generation + 1,
      });
      return { result, events: [event] };
    },
  };
};
