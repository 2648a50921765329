/** Results go to stdout, as text or with --json as one JSON value; everything said to people goes to stderr. */

export interface Output {
  readonly json: boolean;
  /** The result: `value` with --json, else the text. */
  result(value: unknown, text: string): void;
  /** The result of a command whose stdout carries content: the same, on stderr. */
  aside(value: unknown, text: string): void;
  /** Said to people; with --json to nobody. */
  note(text: string): void;
  /** Said to people in any case: what they must not miss. */
  warn(text: string): void;
}

const linesOf = (json: boolean, value: unknown, text: string): string =>
  json ? `${JSON.stringify(value)}\n` : text === '' ? '' : `${text}\n`;

export const outputTo = (json: boolean): Output => ({
  json,
  result(value, text) {
    process.stdout.write(linesOf(json, value, text));
  },
  aside(value, text) {
    process.stderr.write(linesOf(json, value, text));
  },
  note(text) {
    if (!json) process.stderr.write(`${text}\n`);
  },
  warn(text) {
    process.stderr.write(json ? `${JSON.stringify({ warning: text })}\n` : `${text}\n`);
  },
});

/** Columns as wide as what is in them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** 2026-11-24 10:00 UTC */
export const time = (text: string | undefined): string =>
  text === undefined ? '-' : `${new Date(text).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
