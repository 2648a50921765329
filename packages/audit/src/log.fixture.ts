/** For tests: a whole log in memory with its keys, and exports and receipts of it. Deterministic by its seed. */
import type { Receipt, TenantId } from '@astis/protocol';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '#primitives';
import type { JsonObject } from './event.ts';
import type { ExportKind } from './formats.ts';
import type { AppendedEntry, LogHead } from './log/append.ts';
import { appendEvents, EMPTY_LOG } from './log/append.ts';
import type { NoteSigningKey } from './log/checkpoint.ts';
import { checkpointText, logOrigin, signNote } from './log/checkpoint.ts';
import { exportEndLine, exportEntryLine, exportHeaderLine } from './log/export.ts';
import type { FetchNodes } from './log/proofs.ts';
import { consistencyProof, inclusionProof, rootAt } from './log/proofs.ts';
import { makeReceipt } from './log/receipt.ts';
import type { VerifierKey } from './note-key.ts';
import { verifierKey } from './note-key.ts';
import type { TrustedKeys } from './verify/receipt.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

export const TENANT = '0b8e4a52-93c1-4f6e-8a30-5d1f2c7b9e64' as TenantId;
export const OTHER_TENANT = '1c8e4a52-93c1-4f6e-8a30-5d1f2c7b9e65' as TenantId;
export const PREFIX = 'astis.example/log';
export const ORIGIN = logOrigin(PREFIX, TENANT);

export interface NoteKeyPair {
  readonly signing: NoteSigningKey;
  readonly verifier: VerifierKey;
}

export function noteKeyPair(name: string, seed: string): NoteKeyPair {
  const secret = sha256(encode(`test key ${seed}`));
  const publicKey = ed25519.getPublicKey(secret);
  return {
    signing: { name, publicKey, sign: (message) => ed25519.sign(message, secret) },
    verifier: verifierKey(name, publicKey),
  };
}

export const CHECKPOINT_KEY = noteKeyPair(ORIGIN, 'checkpoint');
export const RECEIPT_KEY = noteKeyPair('astis.example/receipts', 'receipt');
export const STRANGER_KEY = noteKeyPair(ORIGIN, 'stranger');

export const KEYS: TrustedKeys = {
  checkpointKeys: [CHECKPOINT_KEY.verifier],
  receiptKeys: [RECEIPT_KEY.verifier],
};

export interface LogFixture {
  readonly tenant: TenantId;
  readonly entries: readonly AppendedEntry[];
  readonly head: LogHead;
  readonly receipts: readonly Receipt[];
  readonly fetchNodes: FetchNodes;
}

export interface LogPlan {
  readonly tenant?: TenantId;
  /** Events of each append, one after another. */
  readonly batches: readonly number[];
  /** Logs of different seeds have different events, salts and times. */
  readonly seed?: string;
  readonly event?: (seq: number) => JsonObject | undefined;
  /** From this entry on the seed is the other one: a fork. */
  readonly forkAt?: { readonly seq: number; readonly seed: string };
}

export function buildLog({ tenant = TENANT, batches, seed = 'a', event, forkAt }: LogPlan): LogFixture {
  const entries: AppendedEntry[] = [];
  const receipts: Receipt[] = [];
  const tiles = new Map<string, Uint8Array>();
  let head = EMPTY_LOG;
  for (const count of batches) {
    const events = Array.from({ length: count }, (_, i) => {
      const seq = head.size + i;
      const own = forkAt !== undefined && seq >= forkAt.seq ? forkAt.seed : seed;
      return {
        event: event?.(seq) ?? {
          type: 'capsule.released',
          capsule: `${own}-${seq}`,
          person: 'bob@example.org',
        },
        salt: sha256(encode(`salt ${own} ${seq}`)),
        timeMs: 1_760_000_000_000 + 1000 * seq + (own.codePointAt(0) ?? 0),
      };
    });
    const batch = appendEvents(tenant, head, events);
    const text = checkpointText(logOrigin(PREFIX, tenant), batch.head.size, batch.root);
    const note = signNote(text, [RECEIPT_KEY.signing]);
    for (const entry of batch.entries) receipts.push(makeReceipt(batch, entry.seq, note));
    for (const { level, index, hash } of batch.completedTileRoots) tiles.set(`${level}/${index}`, hash);
    entries.push(...batch.entries);
    head = batch.head;
  }
  const fetchNodes: FetchNodes = async (level, start, end) =>
    Array.from({ length: end - start }, (_, i) => {
      const hash = level === 0 ? entries[start + i]?.leafHash : tiles.get(`${level}/${start + i}`);
      return hash ?? new Uint8Array(0);
    });
  return { tenant, entries, head, receipts, fetchNodes };
}

/** A checkpoint of the log at one of its sizes. */
export async function checkpointAt(
  log: LogFixture,
  size: number,
  keys: readonly NoteSigningKey[] = [CHECKPOINT_KEY.signing],
): Promise<string> {
  const root = await rootAt(log.fetchNodes, size);
  return signNote(checkpointText(logOrigin(PREFIX, log.tenant), size, root), keys);
}

export interface ExportPlan {
  readonly kind?: ExportKind;
  readonly from?: number;
  readonly to?: number;
  /** Size of the checkpoint. */
  readonly size?: number;
  readonly seqs?: readonly number[];
  readonly redacted?: ReadonlySet<number>;
  readonly consistencyFrom?: readonly number[];
  readonly checkpoint?: string;
}

export async function exportLog(log: LogFixture, plan: ExportPlan = {}): Promise<string[]> {
  const { kind = 'full', from = 0, to = log.head.size, size = log.head.size, redacted } = plan;
  const seqs = plan.seqs ?? Array.from({ length: to - from }, (_, i) => from + i);
  const checkpoint = plan.checkpoint ?? (await checkpointAt(log, size));
  const lines = [exportHeaderLine({ kind, tenant: log.tenant, from, to, checkpoint })];
  for (const seq of seqs) {
    const entry = log.entries[seq];
    if (entry === undefined) throw new RangeError('no such entry');
    const disclosed = redacted?.has(seq) ? {} : { disclosed: { salt: entry.salt, event: entry.event } };
    const proof = kind === 'full' ? {} : { proof: await inclusionProof(log.fetchNodes, seq, size) };
    lines.push(exportEntryLine({ ...entry, ...disclosed, ...proof }));
  }
  const consistency = await Promise.all(
    (plan.consistencyFrom ?? []).map(async (old) => ({
      from: old,
      proof: await consistencyProof(log.fetchNodes, old, size),
    })),
  );
  lines.push(exportEndLine(seqs.length, consistency));
  return lines;
}
