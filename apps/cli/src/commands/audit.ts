/** `astis audit`: the log, and its verification without any server. */

import { createReadStream, createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AuditError, ExportVerifier, parseVerifierKey, readLines } from '@astis/audit';
import { AuditEntry, Checkpoint, Page, ProtocolError, parseTenantId } from '@astis/protocol';
import { readProfile, receiptsPath } from '@astis/sdk/node';
import type { Globals, Session } from '../session.ts';
import { profileFolder } from '../session.ts';
import { UnavailableError, UntrustedError, UsageError } from '../terminal/exit.ts';
import { cancelOnInterrupt, published, refuseOverwrite } from '../terminal/files.ts';
import type { Output } from '../terminal/output.ts';
import { table, time } from '../terminal/output.ts';

export interface ListOptions {
  readonly limit: string;
  readonly kind?: string;
  readonly actor?: string;
  readonly subject?: string;
}

function summary(event: unknown): {
  readonly actor: string;
  readonly subject: string;
  readonly code: string;
} {
  const fields: Record<string, unknown> = typeof event === 'object' && event !== null ? { ...event } : {};
  const text = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '');
  return { actor: text('actor'), subject: text('subject'), code: text('code') };
}

export async function list({ client, output }: Session, options: ListOptions): Promise<void> {
  const { limit, kind, actor, subject } = options;
  const page = await client.get('/v1/audit/entries', Page(AuditEntry), { limit, kind, actor, subject });
  const rows = page.items.map((entry) => {
    const { actor: by, subject: about, code } = summary(entry.event);
    return [String(entry.seq), time(entry.time), entry.kind, by, about, code];
  });
  output.result(
    page,
    rows.length === 0 ? 'No entries.' : table(['SEQ', 'TIME', 'KIND', 'BY', 'ABOUT', 'CODE'], rows),
  );
}

export interface FileOptions {
  readonly output?: string;
  readonly force?: boolean;
}

/** Refuses an export that the connection cut off: its last line counts the entries. */
function checkWhole(last: string, entries: number): void {
  try {
    const end: { entries?: unknown } = JSON.parse(last);
    if (end.entries === entries) return;
  } catch {
    // Said below.
  }
  throw new UnavailableError('The export was cut off on its way; nothing was written. Try again.');
}

/** Writes the export's lines as they arrive. Returns how many entries there are. */
async function download(
  { client }: Session,
  to: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<number> {
  // The iterator is taken at once: lines that come before somebody listens would be lost.
  const lines = (await client.lines('/v1/audit/export'))[Symbol.asyncIterator]();
  let count = 0;
  let last = '';
  async function* counted(): AsyncGenerator<string> {
    for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
      count++;
      last = next.value;
      yield `${last}\n`;
    }
  }
  await pipeline(Readable.from(counted()), to, { signal, end: to !== process.stdout });
  // The first line describes the export, the last one ends it.
  checkWhole(last, count - 2);
  return count - 2;
}

export async function exportLog(session: Session, options: FileOptions): Promise<void> {
  const { output } = session;
  const path = options.output ?? '-';
  refuseOverwrite(path, options.force);
  const cancel = cancelOnInterrupt();
  let entries: number;
  try {
    entries =
      path === '-'
        ? await download(session, process.stdout, cancel.signal)
        : await published(path, (fresh) =>
            download(session, createWriteStream(fresh, { mode: 0o600, flush: true }), cancel.signal),
          );
  } catch (error) {
    cancel.signal.throwIfAborted();
    throw error;
  } finally {
    cancel.done();
  }
  const result = { file: path, entries };
  if (path === '-') output.aside(result, `${entries} entries.`);
  else output.result(result, `${entries} entries in ${path}. Verify them with: astis audit verify ${path}`);
}

export async function checkpoint({ client, output }: Session, options: FileOptions): Promise<void> {
  const path = options.output ?? '-';
  refuseOverwrite(path, options.force);
  const signed = await client.get('/v1/audit/checkpoint', Checkpoint);
  if (path === '-') {
    output.result(signed, signed.note.trimEnd());
    return;
  }
  await published(path, async (fresh) => writeFileSync(fresh, signed.note, { flush: true }));
  output.result(
    { ...signed, file: path },
    `A checkpoint of ${signed.size} entries in ${path}. Keep it where nobody else can change it.`,
  );
}

export interface VerifyOptions {
  readonly receipts?: string;
  readonly checkpoint?: readonly string[];
  readonly checkpointKey?: readonly string[];
  readonly receiptKey?: readonly string[];
  readonly tenant?: string;
  readonly origin?: string;
}

function tenantIn(text: string) {
  try {
    return parseTenantId(text);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new UsageError(`"${text}" is not the id of an organisation, a lower-case UUID.`);
  }
}

function keyIn(text: string) {
  try {
    return parseVerifierKey(text);
  } catch (error) {
    if (!(error instanceof AuditError)) throw error;
    throw new UsageError(`"${text}" is not a verifier key, such as \`astis whoami\` shows.`);
  }
}

/** Keys by flags, or those that the profile pinned; never from the export itself. */
function trusted(globals: Globals, options: VerifyOptions) {
  const { checkpointKey: checkpoints = [], receiptKey: receiptKeys = [], tenant, origin } = options;
  if (checkpoints.length > 0) {
    if (options.receipts !== undefined && receiptKeys.length === 0)
      throw new UsageError('Receipts are checked with --receipt-key; give it with --checkpoint-key.');
    return {
      keys: { checkpointKeys: checkpoints.map(keyIn), receiptKeys: receiptKeys.map(keyIn) },
      known: {
        ...(tenant === undefined ? {} : { tenant: tenantIn(tenant) }),
        ...(origin === undefined ? {} : { origin }),
      },
      receipts: options.receipts,
    };
  }
  if (receiptKeys.length > 0 || tenant !== undefined || origin !== undefined)
    throw new UsageError('--receipt-key, --tenant and --origin go with --checkpoint-key.');
  const profile = readProfile(profileFolder(globals.profile));
  const { tenantId, logOrigin, checkpointKey, receiptKey } = profile.tenant;
  const own = receiptsPath(profile);
  return {
    keys: { checkpointKeys: [keyIn(checkpointKey)], receiptKeys: [keyIn(receiptKey)] },
    known: { tenant: tenantId, origin: logOrigin },
    receipts: options.receipts ?? (existsSync(own) ? own : undefined),
  };
}

/** Receipts are JSON Lines. A line that a crash cut off is no evidence of anything, and is said to be left out. */
function receiptsIn(path: string | undefined, output: Output): readonly unknown[] {
  if (path === undefined) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line, i): unknown[] => {
    if (line === '') return [];
    try {
      return [JSON.parse(line)];
    } catch {
      output.warn(`Line ${i + 1} of ${path} is not a receipt; it is left out.`);
      return [];
    }
  });
}

export async function verify(
  globals: Globals,
  output: Output,
  file: string,
  options: VerifyOptions,
): Promise<void> {
  const { keys, known, receipts } = trusted(globals, options);
  const facts = {
    ...known,
    receipts: receiptsIn(receipts, output),
    checkpoints: (options.checkpoint ?? []).map((path) => readFileSync(path, 'utf8')),
  };
  const verifier = new ExportVerifier(keys, facts);
  const input = file === '-' ? process.stdin : createReadStream(file);
  for await (const line of readLines(input)) verifier.push(line);
  const report = verifier.end();
  const findings = report.findings.map(
    ({ code, seq, message }) => `${code}${seq === undefined ? '' : ` at ${seq}`}: ${message}`,
  );
  const value = {
    ...report,
    checkpoint:
      report.checkpoint === undefined
        ? undefined
        : { ...report.checkpoint, root: Buffer.from(report.checkpoint.root).toString('base64') },
  };
  if (report.ok) {
    output.result(
      value,
      `The log holds: ${report.entries} entries, chained, and under the signed checkpoint; ${facts.receipts.length} receipts and ${facts.checkpoints.length} checkpoints agree with it.`,
    );
    return;
  }
  output.result(value, findings.join('\n'));
  throw new UntrustedError('log_not_verified', `The log does NOT hold: ${findings.length} finding(s).`);
}
