/**
 * Stands between a client and one of our servers and keeps every request and answer, so that a test can look for what
 * must never be there. It ends TLS on both sides, as an operator's load balancer would.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import type { Credentials } from './authority.ts';

/** One request and its answer. Bodies are without their content encoding; one cut short has what came. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  /** Names and values in turn, as they were sent. */
  readonly requestHeaders: readonly string[];
  readonly requestBody: Buffer;
  /** Undefined where there was no answer. */
  readonly status: number | undefined;
  readonly responseHeaders: readonly string[];
  readonly responseBody: Buffer;
}

export interface CaptureProxy extends AsyncDisposable {
  /** Base URL on localhost, without a trailing slash. */
  readonly url: string;
  readonly exchanges: readonly Exchange[];
  stop(): Promise<void>;
}

export interface CapturePlan {
  /** Base URL of the real server. */
  readonly upstream: string;
  /** PEM of the authority that both the server's certificate and the client's are by. */
  readonly authority: string;
  /** What the proxy shows to clients; must be good for `localhost`. */
  readonly server: Credentials;
  /** What the proxy shows to the server, where that wants mutual TLS; clients then need a certificate too. */
  readonly client?: Credentials;
}

// Each of the two connections has its own (RFC 9110 7.6.1).
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

function endToEnd(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, i) => !HOP_BY_HOP.has((rawHeaders[i - (i % 2)] ?? '').toLowerCase()));
}

const DECODERS = new Map<string, (body: Buffer) => Buffer>([
  ['gzip', (body) => gunzipSync(body)],
  ['deflate', (body) => inflateSync(body)],
  ['br', (body) => brotliDecompressSync(body)],
  ['zstd', (body) => zstdDecompressSync(body)],
]);

function decoded(message: IncomingMessage, body: Buffer): Buffer {
  const decoder = DECODERS.get(message.headers['content-encoding'] ?? '');
  if (decoder === undefined) return body;
  try {
    return decoder(body);
  } catch {
    return body;
  }
}

/** Keeps what passes through a message's body without changing who reads it. */
class Recorded {
  readonly #message: IncomingMessage;
  readonly #chunks: Buffer[] = [];

  constructor(message: IncomingMessage) {
    this.#message = message;
    message.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    message.pause();
  }

  get headers(): readonly string[] {
    return this.#message.rawHeaders;
  }

  get body(): Buffer {
    return decoded(this.#message, Buffer.concat(this.#chunks));
  }
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startCaptureProxy(plan: CapturePlan): Promise<CaptureProxy> {
  const upstream = new URL(plan.upstream);
  const exchanges: Exchange[] = [];
  const agent = new Agent({
    keepAlive: true,
    ca: plan.authority,
    ...(plan.client && { cert: plan.client.certificate, key: plan.client.privateKey }),
  });

  function forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const sent = new Recorded(incoming);
    let status: number | undefined;
    let received: Recorded | undefined;
    exchanges.push({
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      requestHeaders: sent.headers,
      get requestBody() {
        return sent.body;
      },
      get status() {
        return status;
      },
      get responseHeaders() {
        return received?.headers ?? [];
      },
      get responseBody() {
        return received?.body ?? Buffer.alloc(0);
      },
    });
    const onward = request({
      agent,
      host: upstream.hostname,
      port: upstream.port,
      ...(incoming.method !== undefined && { method: incoming.method }),
      ...(incoming.url !== undefined && { path: incoming.url }),
      headers: endToEnd(incoming.rawHeaders),
    });
    onward.once('response', (answer) => {
      status = answer.statusCode;
      received = new Recorded(answer);
      outgoing.writeHead(answer.statusCode ?? 502, endToEnd(answer.rawHeaders));
      pipeline(answer, outgoing, () => undefined);
    });
    // Without an answer the client's connection breaks, as it would without us.
    onward.once('error', () => outgoing.destroy());
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) onward.destroy();
    });
    pipeline(incoming, onward, () => undefined);
  }

  const server = createServer(
    {
      cert: plan.server.certificate,
      key: plan.server.privateKey,
      minVersion: 'TLSv1.3',
      ...(plan.client && { ca: plan.authority, requestCert: true, rejectUnauthorized: true }),
    },
    forward,
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    agent.destroy();
    const closed = server.listening ? once(server, 'close') : Promise.resolve();
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return { url: `https://localhost:${port}`, exchanges, stop, [Symbol.asyncDispose]: stop };
}
