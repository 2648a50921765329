/** The gateway's HTTP: idempotency, paging, headers, the description of itself, and garbage on every route. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { signStatement, wrapDekToMany } from '@astis/crypto';
import { ArtifactListItem, CapsulesCreated, Page, Person, PROBLEMS, toBase64Url } from '@astis/protocol';
import type { HttpRequest } from '@astis/sdk';
import { lookUp, prepareSealing } from '@astis/sdk';
import type { Organisation, Stack } from '@astis/testkit';
import { newOrganisation, startStack } from '@astis/testkit';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

let home: string;
let stack: Stack;
let organisation: Organisation;

beforeAll(async () => {
  home = mkdtempSync('/tmp/astis-http-');
  stack = await startStack({ home: join(home, 'stack') });
  organisation = await newOrganisation(stack, 'http.test');
});

afterAll(async () => {
  organisation?.transport.close();
  await stack?.stop();
  rmSync(home, { recursive: true, force: true });
});

const send = (
  method: HttpRequest['method'],
  path: string,
  body?: string,
  headers: Record<string, string> = {},
) =>
  organisation.transport({
    method,
    url: stack.url + path,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body }),
  });

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          { readonly operationId?: string; readonly responses: Readonly<Record<string, unknown>> }
        >
      >
    >
  >;
}

const description = async (): Promise<OpenApi> =>
  JSON.parse(await (await send('GET', '/openapi.json')).text());

describe('idempotency keys', () => {
  const item = async () => {
    const { client, identity } = organisation.admin;
    const keys = await lookUp(client, [identity.address], { get: () => undefined, set: () => undefined });
    const { dek, statement } = await prepareSealing(client, keys, { ttlSeconds: 600, labels: [] });
    const wraps = await wrapDekToMany(dek, keys, statement);
    return {
      statement: toBase64Url(await signStatement(statement, identity.signer)),
      wraps: wraps.map(({ address, wrap }) => ({ address, wrap: toBase64Url(wrap) })),
    };
  };

  test('the same write twice is carried out once and answered alike; another body is refused', async () => {
    const { client } = organisation.admin;
    const first = { items: [await item()] };
    const key = crypto.randomUUID();
    const answer = await client.write('POST', '/v1/capsules', first, CapsulesCreated, key);
    expect(await client.write('POST', '/v1/capsules', first, CapsulesCreated, key)).toEqual(answer);
    const other = { items: [await item()] };
    await expect(client.write('POST', '/v1/capsules', other, CapsulesCreated, key)).rejects.toMatchObject({
      code: 'idempotency_mismatch',
    });
  });

  test('a write without a key that is the very same statement is no second one', async () => {
    const { client } = organisation.admin;
    const body = { items: [await item()] };
    const count = async () =>
      (await client.get('/v1/artifacts', Page(ArtifactListItem), { limit: 500 })).items.length;
    await client.write('POST', '/v1/capsules', body, CapsulesCreated);
    const before = await count();
    await client.write('POST', '/v1/capsules', body, CapsulesCreated);
    expect(await count()).toBe(before);
  });
});

test('pages have everybody once, whatever their size', async () => {
  const { client } = organisation.admin;
  for (const name of ['ann', 'ben', 'cat', 'dan']) await organisation.add(`${name}@http.test`);
  const all = (await client.get('/v1/people', Page(Person), { limit: 500 })).items.map(({ id }) => id);
  for (const limit of [1, 2, 3]) {
    const seen: string[] = [];
    for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
      const page: { items: readonly Person[]; nextCursor?: string } = await client.get(
        '/v1/people',
        Page(Person),
        { limit, cursor },
      );
      expect(page.items.length).toBeLessThanOrEqual(limit);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(all);
  }
});

test('answers carry the security headers, and nobody may keep them', async () => {
  const answer = await send('GET', '/v1/tenant');
  expect(answer.status).toBe(401);
  expect(answer.header('strict-transport-security')).toMatch(/max-age=\d{7,}/);
  expect(answer.header('content-security-policy')).toContain("default-src 'none'");
  expect(answer.header('x-content-type-options')).toBe('nosniff');
  expect(answer.header('cache-control')).toBe('no-store');
  expect(answer.header('content-type')).toContain('application/problem+json');
});

test('the reference needs nothing from elsewhere, and only its own scripts may run', async () => {
  const answer = await send('GET', '/reference/');
  const html = await answer.text();
  const policy = answer.header('content-security-policy') ?? '';
  expect(answer.status).toBe(200);
  expect(policy).toMatch(/script-src 'self' 'sha256-/);
  expect(policy.match(/script-src[^;]*/)?.[0]).not.toContain('unsafe-inline');
  for (const [, source = ''] of html.matchAll(/<script[^>]*src="([^"]+)"/g))
    expect(source).not.toMatch(/^https?:|^\/\//);
});

test('the description is OpenAPI 3.1, and every operation has an id of its own and says what it is refused with', async () => {
  const { openapi, paths } = await description();
  expect(openapi).toBe('3.1.0');
  const operations = Object.values(paths).flatMap((path) => Object.values(path));
  expect(operations.length).toBeGreaterThan(30);
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  for (const { responses } of operations)
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['4XX', '5XX']));
});

test('docs/api.md names every operation and every problem', async () => {
  const guide = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8');
  const { paths } = await description();
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods))
      expect(guide).toContain(`| \`${method.toUpperCase()} ${path}\` |`);
  }
  for (const [code, [status, title]] of Object.entries(PROBLEMS))
    expect(guide).toContain(`| \`${code}\` | ${status} | ${title} |`);
});

describe('garbage', () => {
  const isProblem = (text: string, status: number): void => {
    const problem: { code: keyof typeof PROBLEMS; status: number; type: string } = JSON.parse(text);
    expect(PROBLEMS[problem.code]?.[0]).toBe(status);
    expect(problem.type).toBe(`https://astis.dev/problems/${problem.code}`);
    expect(text).not.toMatch(/\bat .*\.ts:\d+|node_modules|SELECT|insert into/i);
  };

  test('on every route, without a token, is refused with a problem below 500', async () => {
    const { paths } = await description();
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of Object.keys(methods)) {
        const url = path.replaceAll(/\{[^}]+\}/g, 'x');
        const verb = method.toUpperCase() as HttpRequest['method'];
        const bodies =
          verb === 'GET'
            ? [undefined]
            : ['', '{', '[]', '{"__proto__":1}', JSON.stringify({ a: 'x'.repeat(1000) })];
        for (const body of bodies) {
          const answer = await send(verb, url, body);
          if (path === '/.well-known/oauth-authorization-server') continue;
          expect(answer.status, `${verb} ${path}`).toBeGreaterThanOrEqual(400);
          expect(answer.status, `${verb} ${path}`).toBeLessThan(500);
          // Strangers share a bucket; a refusal by it is a refusal too.
          isProblem(await answer.text(), answer.status);
        }
      }
    }
  });

  test('from a member, on every writing route, is refused with a problem below 500', async () => {
    const { paths } = await description();
    const { client } = organisation.admin;
    const writes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).flatMap((method) =>
        ['post', 'put', 'patch'].includes(method) && path !== '/oauth/token'
          ? [{ path, method: method.toUpperCase() as 'POST' | 'PUT' | 'PATCH' }]
          : [],
      ),
    );
    const value = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.string(), { maxLength: 3 }),
    );
    const names = [
      'statement',
      'wraps',
      'items',
      'artifactId',
      'artifactIds',
      'order',
      'grant',
      'document',
      'expectedVersion',
      'addresses',
      'decision',
      'expiresAt',
      'groups',
      'domain',
      'enrolment',
      'tenantId',
    ];
    const bodies = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 4 });
    for (const { path, method } of writes) {
      await fc.assert(
        fc.asyncProperty(bodies, async (body) => {
          const url = path.replaceAll(/\{[^}]+\}/g, crypto.randomUUID());
          const outcome = await client.write(method, url, body, CapsulesCreated).then(
            () => undefined,
            (error: unknown) => error,
          );
          if (outcome === undefined) return;
          expect(outcome).toMatchObject({ code: expect.any(String) });
          if (outcome instanceof Error && 'problem' in outcome) {
            const { problem } = outcome;
            const status =
              typeof problem === 'object' && problem !== null && 'status' in problem
                ? Number(problem.status)
                : 0;
            expect(status, `${method} ${path}`).toBeLessThan(500);
          }
        }),
        { numRuns: 8 },
      );
    }
  });
});
