/** `astis audit`: the log, and its verification without any server. */

import { once } from 'node:events';
import { createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs';
import { ExportVerifier, parseVerifierKey, readLines } from '@astis/audit';
import { AuditEntry, Checkpoint, Page } from '@astis/protocol';
import { readProfile, receiptsPath } from '@astis/sdk/node';
import type { Globals, Session } from '../session.ts';
import { profileFolder } from '../session.ts';
import { UntrustedError, UsageError } from '../terminal/exit.ts';
import { refuseOverwrite } from '../terminal/files.ts';
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

export async function exportLog(
  { client, output }: Session,
  options: { readonly output?: string; readonly force?: boolean },
): Promise<void> {
  const path = options.output ?? '-';
  refuseOverwrite(path, options.force);
  if (path === '-' && output.json)
    throw new UsageError('The export is on stdout already; give -o FILE to have --json beside it.');
  const sink = path === '-' ? process.stdout : createWriteStream(path, { mode: 0o600, flags: 'w' });
  let lines = 0;
  for await (const line of await client.lines('/v1/audit/export')) {
    lines++;
    if (!sink.write(`${line}\n`)) await once(sink, 'drain');
  }
  if (path === '-') return;
  sink.end();
  await once(sink, 'finish');
  output.result(
    { file: path, entries: lines - 2 },
    `${lines - 2} entries in ${path}. Verify them with: astis audit verify ${path}`,
  );
}

export async function checkpoint({ client, output }: Session): Promise<void> {
  const signed = await client.get('/v1/audit/checkpoint', Checkpoint);
  output.result(signed, signed.note.trimEnd());
}

export interface VerifyOptions {
  readonly receipts?: string;
  readonly checkpoint?: readonly string[];
  readonly checkpointKey?: readonly string[];
  readonly receiptKey?: readonly string[];
}

/** Keys by flags, or those that the profile pinned; never from the export itself. */
function trusted(globals: Globals, options: VerifyOptions) {
  const flags = { checkpoint: options.checkpointKey ?? [], receipt: options.receiptKey ?? [] };
  if (flags.checkpoint.length > 0) {
    return {
      keys: {
        checkpointKeys: flags.checkpoint.map(parseVerifierKey),
        receiptKeys: flags.receipt.map(parseVerifierKey),
      },
      known: {},
      receipts: options.receipts,
    };
  }
  const profile = readProfile(profileFolder(globals.profile));
  const { tenantId, logOrigin, checkpointKey, receiptKey } = profile.tenant;
  const own = receiptsPath(profile);
  return {
    keys: { checkpointKeys: [parseVerifierKey(checkpointKey)], receiptKeys: [parseVerifierKey(receiptKey)] },
    known: { tenant: tenantId, origin: logOrigin },
    receipts: options.receipts ?? (existsSync(own) ? own : undefined),
  };
}

const receiptsIn = (path: string | undefined): readonly unknown[] =>
  path === undefined
    ? []
    : readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line): unknown => {
          try {
            return JSON.parse(line);
          } catch {
            throw new UsageError(`${path} has a line that is not JSON; receipts are JSON Lines.`);
          }
        });

export async function verify(
  globals: Globals,
  output: Output,
  file: string,
  options: VerifyOptions,
): Promise<void> {
  const { keys, known, receipts } = trusted(globals, options);
  const facts = {
    ...known,
    receipts: receiptsIn(receipts),
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
