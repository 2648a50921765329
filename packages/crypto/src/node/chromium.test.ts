/** The browser backend where it belongs: served as it is, module by module, to a real Chromium. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { createServer } from 'vite';
import { expect, it } from 'vitest';
import capsuleVector from '../../../protocol/vectors/capsule.json' with { type: 'json' };
import envelopeVector from '../../../protocol/vectors/envelope.json' with { type: 'json' };
import keyVector from '../../../protocol/vectors/keys.json' with { type: 'json' };

const CHROMIUM = '/usr/bin/chromium';

it('seals and opens the published vectors in Chromium', async () => {
  expect(existsSync(CHROMIUM), `${CHROMIUM} is missing: apt-get install chromium`).toBe(true);
  const root = new URL('../../../..', import.meta.url).pathname;
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    cacheDir: `${root}/.build/vite-crypto`,
    server: { port: 0, host: '127.0.0.1', fs: { allow: [root] } },
    appType: 'custom',
    plugins: [
      {
        name: 'page',
        configureServer: ({ middlewares }) => {
          middlewares.use('/page', (_, response) => {
            response.setHeader('content-type', 'text/html');
            response.end('<!doctype html><title>vectors</title>');
          });
        },
      },
    ],
  });
  await server.listen();
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  try {
    const address = server.httpServer?.address();
    if (typeof address !== 'object' || address === null) throw new Error('the server has no port');
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${address.port}/page`);
    // As text: the test's own transformation must not get at the import.
    const script = '/packages/crypto/src/browser/page.fixture.ts';
    const result: unknown = await page.evaluate(`import('${script}').then((module) => module.run())`);
    const sums = envelopeVector.envelopes.map(({ envelopeSha256 }) => envelopeSha256);
    const lengths = envelopeVector.envelopes.map(({ plaintextBytes }) => plaintextBytes);
    expect(result).toEqual({
      node: false,
      artifactBytes: 16,
      kemKeyIds: keyVector.kem.map(({ keyId }) => keyId),
      deks: [capsuleVector.dek, capsuleVector.dek],
      envelopes: [...sums, ...sums],
      opened: [...lengths, ...lengths],
    });
  } finally {
    await browser.close();
    await server.close();
  }
});
