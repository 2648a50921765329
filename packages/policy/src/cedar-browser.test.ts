import { readFile } from 'node:fs/promises';
import { afterEach, expect, it, vi } from 'vitest';
import * as node from '#cedar';
import { defaultPolicyDocument } from './default-document.ts';
import { cedarSchema } from './schema.ts';

afterEach(() => vi.unstubAllGlobals());

it('outside of Node, Cedar is fetched and answers the same', async () => {
  const fetched: string[] = [];
  // What a browser's server does: the module, with its media type.
  vi.stubGlobal('fetch', async (url: URL) => {
    fetched.push(url.pathname);
    return new Response(await readFile(url), { headers: { 'content-type': 'application/wasm' } });
  });
  const browser = await import('./cedar-browser.ts');
  expect(fetched).toEqual([expect.stringMatching(/\/web\/cedar_wasm_bg\.wasm$/)]);

  const { cedar } = defaultPolicyDocument;
  const person = (id: string) => ({ type: 'Person', id });
  for (const engine of [browser, node]) {
    const policies = { staticPolicies: cedar };
    expect(engine.validate({ schema: cedarSchema, policies })).toMatchObject({
      type: 'success',
      validationErrors: [],
    });
    expect(engine.policySetTextToParts(cedar)).toMatchObject({ type: 'success' });
    expect(engine.preparsePolicySet('default', policies)).toEqual({ type: 'success' });
    for (const [name, decision] of [
      ['bob', 'allow'],
      ['eve', 'deny'],
    ] as const) {
      const answer = engine.statefulIsAuthorized({
        preparsedPolicySetId: 'default',
        principal: person(name),
        action: { type: 'Action', id: 'release' },
        resource: { type: 'Capsule', id: '' },
        context: {},
        entities: [
          {
            uid: { type: 'Capsule', id: '' },
            attrs: { recipient: { __entity: person('bob') } },
            parents: [],
          },
        ],
      });
      expect(answer).toMatchObject({ type: 'success', response: { decision } });
    }
  }
});
