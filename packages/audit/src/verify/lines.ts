/** Splitting bytes into the lines of an export, in bounded memory whatever the bytes are. */
/** Longer lines than any export has are refused. */
export const MAX_LINE_BYTES = 1 << 20;

/** Stands for a line that is too long or not UTF-8. No exporter writes it, so the verifier reports it. */
export const UNREADABLE_LINE = '\ufffd';

const NEWLINE = 0x0a;

/** Decodes and yields each line without its newline. The last may lack one. */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decode = (bytes: Uint8Array): string => {
    try {
      return bytes.length > MAX_LINE_BYTES ? UNREADABLE_LINE : decoder.decode(bytes);
    } catch {
      return UNREADABLE_LINE;
    }
  };
  let parts: Uint8Array[] = [];
  let length = 0;
  const keep = (part: Uint8Array): void => {
    // Of a line that is too long only the fact is kept.
    if (length <= MAX_LINE_BYTES && part.length > 0) parts.push(part.slice(0, MAX_LINE_BYTES + 1));
    length += part.length;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const rest = chunk.subarray(start, end);
      start = end + 1;
      if (length === 0) {
        yield decode(rest);
      } else {
        keep(rest);
        yield decode(join(parts));
        parts = [];
        length = 0;
      }
    }
    keep(chunk.subarray(start));
  }
  if (length > 0) yield decode(join(parts));
}

/** As `concat`, for more parts than a call takes arguments: a source may give byte by byte. */
function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
