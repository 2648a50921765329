import { beforeAll, describe, expect, it } from 'vitest';
import type { ServiceKey } from './service-message.ts';
import {
  generateServiceKey,
  openRequest,
  openResponse,
  readServiceKey,
  sealRequest,
  sealResponse,
} from './service-message.ts';

const newService = async (name: string): Promise<ServiceKey> =>
  readServiceKey((await generateServiceKey(name)).privateKey);

describe('service messages', () => {
  let gateway: ServiceKey;
  let cvs: ServiceKey;

  beforeAll(async () => {
    [gateway, cvs] = await Promise.all([newService('gateway'), newService('cvs')]);
  });

  it('carry a request there and its answer back', async () => {
    const request = await sealRequest({ method: 'm', params: { x: 1 } }, { self: gateway, peer: cvs });
    const opened = await openRequest(request.message, { self: cvs, peer: gateway });
    expect(opened).toMatchObject({ method: 'm', params: { x: 1 } });
    const answer = await sealResponse({ result: [3] }, opened, { self: cvs, peer: gateway });
    expect(await openResponse(answer, request, { self: gateway, peer: cvs })).toEqual({ result: [3] });
  });
});
