/** What every transport does with an answer, however it sends. */
import { SdkError } from './errors.ts';

/** @param reason the system's own code, where there is one */
export const unreachable = (url: string, reason?: string): SdkError =>
  new SdkError(
    'gateway_unreachable',
    `The gateway at ${new URL(url).origin} does not answer${reason === undefined ? '' : ` (${reason})`}.`,
  );

/** Reads when it is asked to, so that no line is lost that arrives before; a cut connection is an error. */
export async function* linesOf(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  url: string,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  try {
    for await (const piece of body) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
    rest += decoder.decode();
  } catch {
    throw unreachable(url);
  }
  if (rest !== '') yield rest;
}
