/** HTTPS by Node's own client: with a CA of one's own, TLS 1.3 only, connections kept. */
import { Agent, request as send } from 'node:https';
import { createInterface } from 'node:readline';
import type { HttpAnswer, Transport } from '../client.ts';
import { SdkError } from '../errors.ts';

const TIMEOUT_MS = 60_000;

/** @param ca PEM of the CA to trust instead of the system's */
export function httpsTransport(ca?: string): Transport & { close(): void } {
  const agent = new Agent({ keepAlive: true, minVersion: 'TLSv1.3', ...(ca === undefined ? {} : { ca }) });
  const transport: Transport = ({ method, url, headers, body }) =>
    new Promise<HttpAnswer>((resolve, reject) => {
      const fail = (error: Error): void => {
        const reason = 'code' in error ? ` (${String(error.code)})` : '';
        reject(
          new SdkError(
            'gateway_unreachable',
            `The gateway at ${new URL(url).origin} does not answer${reason}.`,
          ),
        );
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
              for await (const chunk of response) chunks.push(chunk);
              return Buffer.concat(chunks).toString('utf8');
            },
            lines: () => createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY }),
          });
        },
      );
      request.on('timeout', () => request.destroy(new Error('timeout')));
      request.on('error', fail);
      request.end(body);
    });
  return Object.assign(transport, { close: () => agent.destroy() });
}
