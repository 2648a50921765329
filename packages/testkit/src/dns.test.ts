import { Resolver } from 'node:dns/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DnsServer } from './dns.ts';
import { startDnsServer } from './dns.ts';

let server: DnsServer;
beforeAll(async () => {
  server = await startDnsServer({ '_astis.example.org': ['astis-domain=abc; def', 'second'] });
});
afterAll(() => server.stop());

function resolver(): Resolver {
  const made = new Resolver({ timeout: 2000, tries: 2 });
  made.setServers([server.address]);
  return made;
}

test('answers the records it was given, each value whole', async () => {
  const answer = await resolver().resolveTxt('_astis.example.org');
  expect(answer.toSorted()).toEqual([['astis-domain=abc; def'], ['second']]);
});

test('every other name does not exist', async () => {
  await expect(resolver().resolveTxt('_astis.example.com')).rejects.toMatchObject({ code: 'ENOTFOUND' });
});

test('records can be replaced', async () => {
  await server.setRecords({ '_astis.example.net': ['new'] });
  expect(await resolver().resolveTxt('_astis.example.net')).toEqual([['new']]);
  await expect(resolver().resolveTxt('_astis.example.org')).rejects.toMatchObject({ code: 'ENOTFOUND' });
});

test('refuses a record that would turn into another option or record', async () => {
  await expect(startDnsServer({ 'a.org': ['x,y'] })).rejects.toThrow(/not a TXT record/);
  await expect(startDnsServer({ 'a.org,b.org': ['x'] })).rejects.toThrow(/not a TXT record/);
});
