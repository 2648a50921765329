import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { CertificateAuthority, Credentials } from './authority.ts';
import { createCertificateAuthority } from './authority.ts';
import { startCaptureProxy } from './capture-proxy.ts';

let authority: CertificateAuthority;
let serverCredentials: Credentials;
let clientCredentials: Credentials;
beforeAll(async () => {
  authority = await createCertificateAuthority();
  serverCredentials = await authority.issueServer(['localhost']);
  clientCredentials = await authority.issueClient('gateway');
});

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(
    {
      cert: serverCredentials.certificate,
      key: serverCredentials.privateKey,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    },
    listener,
  );
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  stops.push(async () => {
    server.close();
    server.closeAllConnections();
  });
  return `https://localhost:${(server.address() as AddressInfo).port}`;
}

async function proxyFor(upstream: string) {
  const proxy = await startCaptureProxy({
    upstream,
    authority: authority.certificate,
    server: serverCredentials,
    client: clientCredentials,
  });
  stops.push(proxy.stop);
  return proxy;
}

function send(
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string>;
    body?: Buffer;
    client?: Credentials | undefined;
  },
): Promise<IncomingMessage> {
  const { client = clientCredentials } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        method: options.method ?? 'POST',
        headers: options.headers ?? {},
        ca: authority.certificate,
        agent: false,
        cert: client.certificate,
        key: client.privateKey,
      },
      resolve,
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}

test('passes requests on unchanged, and keeps both bodies without their compression', async () => {
  const seen: { headers: string[]; body: Buffer; url: string | undefined }[] = [];
  const upstream = await serve(async (incoming, outgoing) => {
    seen.push({ headers: incoming.rawHeaders, body: await buffer(incoming), url: incoming.url });
    outgoing.writeHead(201, { 'content-encoding': 'br', 'x-mark': 'kept' });
    outgoing.end(brotliCompressSync('the answer'));
  });
  const proxy = await proxyFor(upstream);
  const body = gzipSync('the question');
  const answer = await send(`${proxy.url}/a/path?b=c`, { headers: { 'Content-Encoding': 'gzip' }, body });
  expect(answer.statusCode).toBe(201);
  expect(await buffer(answer)).toEqual(brotliCompressSync('the answer'));
  expect(seen).toHaveLength(1);
  expect(seen[0]?.url).toBe('/a/path?b=c');
  expect(seen[0]?.body).toEqual(body);
  expect(seen[0]?.headers).toContain(new URL(proxy.url).host);
  expect(proxy.exchanges).toHaveLength(1);
  const [exchange] = proxy.exchanges;
  expect(exchange).toMatchObject({ method: 'POST', path: '/a/path?b=c', status: 201 });
  expect(exchange?.requestBody.toString()).toBe('the question');
  expect(exchange?.responseBody.toString()).toBe('the answer');
  expect(exchange?.requestHeaders).toContain('Content-Encoding');
  expect(exchange?.responseHeaders).toContain('kept');
});

test('carries megabytes both ways', async () => {
  const upstream = await serve((incoming, outgoing) => incoming.pipe(outgoing));
  const proxy = await proxyFor(upstream);
  const body = Buffer.alloc(5_000_000, 'abcdefg');
  const answer = await send(proxy.url, { body });
  expect((await buffer(answer)).equals(body)).toBe(true);
  expect(proxy.exchanges[0]?.requestBody.equals(body)).toBe(true);
  expect(proxy.exchanges[0]?.responseBody.equals(body)).toBe(true);
});

test('a server that breaks off is seen as such, and what had passed is kept', async () => {
  const upstream = await serve(async (incoming, outgoing) => {
    await buffer(incoming);
    outgoing.destroy();
  });
  const proxy = await proxyFor(upstream);
  await expect(send(proxy.url, { body: Buffer.from('half') })).rejects.toThrow(/socket hang up|ECONNRESET/);
  expect(proxy.exchanges[0]?.requestBody.toString()).toBe('half');
  expect(proxy.exchanges[0]?.status).toBeUndefined();
});

test('a client of another authority does not get through', async () => {
  const upstream = await serve((_incoming, outgoing) => outgoing.end());
  const proxy = await proxyFor(upstream);
  const other = await (await createCertificateAuthority()).issueClient('gateway');
  await expect(send(proxy.url, { client: other })).rejects.toThrow();
  expect(proxy.exchanges).toEqual([]);
});
