/** Requests by `fetch`, for browsers; `@astis/sdk/node` has a faster one for Node. */
import type { HttpAnswer, Transport } from './client.ts';
import { linesOf, unreachable } from './transport.ts';

/** The part of the Fetch Standard that is used; every runtime's own `fetch` has it. */
export type Fetch = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body?: string;
    readonly redirect: 'error';
  },
) => Promise<{
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: AsyncIterable<Uint8Array> | null;
  text(): Promise<string>;
}>;

/** Redirects are refused: a proof is for one URL, and a token goes nowhere else. */
export const fetchTransport =
  (fetch: Fetch): Transport =>
  async ({ method, url, headers, body }): Promise<HttpAnswer> => {
    const init = { method, headers: { ...headers }, redirect: 'error' } as const;
    const answer = await fetch(url, body === undefined ? init : { ...init, body }).catch(() => {
      throw unreachable(url);
    });
    return {
      status: answer.status,
      header: (name) => answer.headers.get(name) ?? undefined,
      text: () =>
        answer.text().catch(() => {
          throw unreachable(url);
        }),
      lines: () => linesOf(answer.body ?? [], url),
    };
  };
