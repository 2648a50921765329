/** Results go to stdout, as text or with --json as one JSON value; everything said to people goes to stderr. */

export interface Output {
  readonly json: boolean;
  /** The result: `value` with --json, else the text. */
  result(value: unknown, text: string): void;
  note(text: string): void;
}

export const outputTo = (json: boolean): Output => ({
  json,
  result(value, text) {
    process.stdout.write(json ? `${JSON.stringify(value)}\n` : text === '' ? '' : `${text}\n`);
  },
  note(text) {
    process.stderr.write(`${text}\n`);
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
