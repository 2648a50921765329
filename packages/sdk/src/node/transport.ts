/** HTTPS by Node's own client: with a CA of one's own, TLS 1.3 only, connections kept. */
import { Agent, request as send } from 'node:https';
import type { HttpAnswer, Transport } from '../client.ts';
import { linesOf, unreachable } from '../transport.ts';

const TIMEOUT_MS = 60_000;

/** @param ca PEM of the CA to trust instead of the system's */
export function httpsTransport(ca?: string): Transport & { close(): void } {
  const agent = new Agent({ keepAlive: true, minVersion: 'TLSv1.3', ...(ca === undefined ? {} : { ca }) });
  const transport: Transport = ({ method, url, headers, body }) =>
    new Promise<HttpAnswer>((resolve, reject) => {
      const fail = (error: Error): void => {
        reject(unreachable(url, 'code' in error ? String(error.code) : undefined));
      };
      const request = send(
        url,
        {
          method,
          agent,
          timeout: TIMEOUT_MS,
          headers: {
            ...headers,
            ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
          },
        },
        (response) => {
          response.on('error', fail);
          resolve({
            status: response.statusCode ?? 0,
            header(name) {
              const value = response.headers[name];
              return typeof value === 'string' ? value : undefined;
            },
            async text() {
              const chunks: Buffer[] = [];
              try {
                for await (const chunk of response) chunks.push(chunk);
              } catch {
                throw unreachable(url);
              }
              return Buffer.concat(chunks).toString('utf8');
            },
            lines: () => linesOf(response, url),
          });
        },
      );
      request.on('timeout', () => request.destroy(new Error('timeout')));
      request.on('error', fail);
      request.end(body);
    });
  return Object.assign(transport, { close: () => agent.destroy() });
}
