import { createHash } from 'node:crypto';
import { ProblemError, Tenant } from '@astis/protocol';
import { Type } from 'typebox';
import { describe, expect, test } from 'vitest';
import { fakeClient } from './fake-gateway.fixture.ts';
import { fetchTransport } from './fetch-transport.ts';

const problem = (code: ConstructorParameters<typeof ProblemError>[0]) => {
  const body = new ProblemError(code, 'detail').toProblem();
  return { status: body.status, body };
};
const claimsOf = (proof: string | undefined) =>
  JSON.parse(Buffer.from(proof?.split('.')[1] ?? '', 'base64url').toString('utf8'));
const Ok = Type.Object({ ok: Type.Boolean() });

test('each request has a proof of its own over method, URL, body, token and nonce', async () => {
  const { client, requests } = await fakeClient(() => ({ body: { ok: true } }));
  await client.write('POST', '/v1/things', { a: 1 }, Ok);
  await client.get('/v1/things', Ok, { limit: 5, cursor: undefined });
  const [write, read] = requests.map(({ headers }) => claimsOf(headers['dpop']));
  const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url');
  expect(write).toMatchObject({
    htm: 'POST',
    htu: 'https://gateway.test/v1/things',
    bd: sha256('{"a":1}'),
    ath: sha256('token'),
    nonce: 'nonce',
  });
  expect(read).toMatchObject({ htm: 'GET', htu: 'https://gateway.test/v1/things', bd: sha256('') });
  expect(requests[1]?.url).toBe('https://gateway.test/v1/things?limit=5');
  expect(read.jti).not.toBe(write.jti);
});

describe('repeats', () => {
  const failing = (times: number, code: Parameters<typeof problem>[0]) => {
    let left = times;
    return fakeClient(() => (left-- > 0 ? problem(code) : { body: { ok: true } }));
  };

  test('reads and writes under an idempotency key are repeated with the same key and fresh proofs', async () => {
    const { client, requests } = await failing(2, 'store_unavailable');
    expect(await client.write('POST', '/v1/things', {}, Ok, 'key-of-this-write')).toEqual({ ok: true });
    expect(requests.map(({ headers }) => headers['idempotency-key'])).toEqual(
      Array(3).fill('key-of-this-write'),
    );
    expect(new Set(requests.map(({ headers }) => claimsOf(headers['dpop']).jti)).size).toBe(3);
  });

  test('a write without a key, such as a release, is sent once', async () => {
    const { client, requests } = await failing(1, 'audit_unavailable');
    await expect(client.write('POST', '/v1/releases', {}, Ok)).rejects.toMatchObject({
      code: 'audit_unavailable',
    });
    expect(requests).toHaveLength(1);
  });

  test('a refusal is final, and patience ends', async () => {
    const refused = await failing(1, 'denied_by_policy');
    await expect(refused.client.get('/v1/things', Ok)).rejects.toMatchObject({ code: 'denied_by_policy' });
    expect(refused.requests).toHaveLength(1);
    const down = await failing(99, 'store_unavailable');
    await expect(down.client.get('/v1/things', Ok)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(down.requests).toHaveLength(4);
  });
});

describe('answers that are none of an ASTIS gateway', () => {
  test.each([
    ['HTML', 200, '<html>'],
    ['another shape', 200, { id: 5 }],
    ['an error page', 502, 'Bad gateway'],
    ['JSON that is no problem', 500, { message: 'secret' }],
  ])('%s', async (_what, status, body) => {
    const { client } = await fakeClient(() => ({ status, body }));
    const refusal = client.write('POST', '/v1/tenant', {}, Tenant);
    await expect(refusal).rejects.toMatchObject({ code: 'answer_invalid' });
    await expect(refusal).rejects.not.toThrow(/secret/);
  });
});

test('fetch: lines come whole whatever the pieces, redirects are refused, no answer is told', async () => {
  const asked: unknown[] = [];
  async function* pieces() {
    for (const byte of new TextEncoder().encode('eins\nzwö\nend')) yield Uint8Array.of(byte);
  }
  const transport = fetchTransport((_url, init) => {
    asked.push(init.redirect);
    return Promise.resolve({
      status: 200,
      headers: { get: () => null },
      body: pieces(),
      text: () => Promise.resolve(''),
    });
  });
  const answer = await transport({ method: 'GET', url: 'https://x.test/', headers: {} });
  const lines: string[] = [];
  for await (const line of answer.lines()) lines.push(line);
  expect(lines).toEqual(['eins', 'zwö', 'end']);
  expect(asked).toEqual(['error']);
  const down = fetchTransport(() => Promise.reject(new TypeError('failed')));
  await expect(down({ method: 'GET', url: 'https://x.test/', headers: {} })).rejects.toMatchObject({
    code: 'gateway_unreachable',
  });
});
