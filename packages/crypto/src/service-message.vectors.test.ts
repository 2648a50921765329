import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ServiceKeyText } from './service-message.ts';
import { openRequest, openResponse, readServiceKey, readServicePeer } from './service-message.ts';

interface Vector {
  readonly now: number;
  readonly gateway: ServiceKeyText;
  readonly cvs: ServiceKeyText;
  readonly request: { readonly message: string; readonly payload: string; readonly hash: string };
  readonly response: { readonly message: string; readonly payload: string };
}

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

test('the published request and its answer open at their time, and at no other', async () => {
  const file = new URL('../../protocol/vectors/service-message.json', import.meta.url);
  const { now, gateway, cvs, request, response }: Vector = JSON.parse(readFileSync(file, 'utf8'));
  const there = {
    self: await readServiceKey(gateway.privateKey),
    peer: await readServicePeer(cvs.publicKey),
    now,
  };
  const here = {
    self: await readServiceKey(cvs.privateKey),
    peer: await readServicePeer(gateway.publicKey),
    now,
  };
  expect([there.self.fingerprint, here.self.fingerprint]).toEqual([gateway.fingerprint, cvs.fingerprint]);

  const opened = await openRequest(hex(request.message), here);
  const { id, at, method, params } = JSON.parse(request.payload);
  expect(opened).toEqual({ id, at, method, params, hash: hex(request.hash) });
  const sealed = { method, hash: hex(request.hash) };
  const { result } = JSON.parse(response.payload);
  expect(await openResponse(hex(response.message), sealed, there)).toEqual({ result });

  for (const off of [-62_000, 62_000])
    await expect(openRequest(hex(request.message), { ...here, now: now + off })).rejects.toMatchObject({
      name: 'ServiceMessageError',
    });
});
