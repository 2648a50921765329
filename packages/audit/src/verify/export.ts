/**
 * The offline verifier. It trusts the keys that it is given and nothing else: not the server that wrote the export,
 * not the export's own account of itself. It reads line by line in constant memory.
 */
import type { TenantId } from '@astis/protocol';
import { equalBytes } from '@astis/protocol';
import type { AuditErrorCode } from '../errors.ts';
import { AuditError } from '../errors.ts';
import { REDACTION_EVENT_KIND } from '../event.ts';
import type { ExportKind } from '../formats.ts';
import { FORMAT_VERSION } from '../formats.ts';
import type { Hash } from '../hashes.ts';
import { commitmentOf, leafHash, ZERO_HASH } from '../hashes.ts';
import { encodeRecord } from '../record.ts';
import type { TreeHead } from './checkpoint.ts';
import { parseCheckpointText, verifyTreeHead } from './checkpoint.ts';
import type { ParsedEnd, ParsedEntry, ParsedHeader } from './export-lines.ts';
import { parseHeader, parseLine } from './export-lines.ts';
import type { Finding, FindingCode } from './findings.ts';
import { Findings } from './findings.ts';
import { parseNote, verifyNote } from './note.ts';
import { verifyConsistency, verifyInclusion } from './proofs.ts';
import { RangeSet } from './ranges.ts';
import type { TrustedKeys } from './receipt.ts';
import { checkReceipt, isOriginOf } from './receipt.ts';
import { RootStack } from './root.ts';

/** What the auditor already has, and what the export is asked to agree with. */
export interface KnownFacts {
  readonly tenant?: TenantId;
  readonly origin?: string;
  /** Signed checkpoints, older or newer than the export's. */
  readonly checkpoints?: readonly string[];
  /** Release receipts, as parsed JSON of any shape. */
  readonly receipts?: readonly unknown[];
}

export interface ExportReport {
  /** Whether all that the export has is proven and agrees with all that was known: no finding at all. */
  readonly ok: boolean;
  /** A `selection` proves what it shows and not that it shows everything. */
  readonly kind?: ExportKind;
  readonly tenant?: TenantId;
  readonly origin?: string;
  readonly from?: number;
  readonly to?: number;
  /** The export's checkpoint, and who signed it as checkpoint key and as witness (time in seconds). */
  readonly checkpoint?: {
    readonly size: number;
    readonly root: Hash;
    readonly signers: readonly string[];
    readonly witnesses: readonly { readonly name: string; readonly time: number }[];
  };
  /** Entry lines read. */
  readonly entries: number;
  /** Entries whose event was redacted. */
  readonly redacted: number;
  readonly firstTimeMs?: number;
  readonly lastTimeMs?: number;
  /** How many known checkpoints and receipts hold by themselves; the findings say whether the log agrees. */
  readonly checkedCheckpoints: number;
  readonly checkedReceipts: number;
  /** At most 1,000. */
  readonly findings: readonly Finding[];
  /** How many of each code there were, those that `findings` had no room for included. */
  readonly counts: Readonly<Partial<Record<FindingCode, number>>>;
}

/** A tree head that the log must agree with. */
interface KnownHead extends TreeHead {
  readonly label: string;
  /** The receipt entry that it came with: shown to be in the log, it may do without a consistency proof. */
  readonly seq?: number;
}

interface KnownEntry {
  readonly leafHash: Hash;
  readonly label: string;
}

const MAX_RANGES = 65_536;

const isNoteCode = (code: AuditErrorCode): code is 'bad_signature' | 'unknown_key' | 'origin_mismatch' =>
  code === 'bad_signature' || code === 'unknown_key' || code === 'origin_mismatch';

/** Takes an export line by line; `end` gives the report. Nothing that is pushed makes it throw. */
export class ExportVerifier {
  readonly #keys: TrustedKeys;
  readonly #known: KnownFacts;
  readonly #findings = new Findings();
  #line = 0;
  /** Without a header that can be read there is nothing to verify lines against. */
  #unreadable = false;
  #header: ParsedHeader | undefined;
  #head: TreeHead | undefined;
  #checkpoint: ExportReport['checkpoint'];
  #end: ParsedEnd | undefined;

  // Known facts, in the order in which the entries meet them.
  readonly #heads: KnownHead[] = [];
  #nextHead = 0;
  readonly #receiptEntries = new Map<number, KnownEntry[]>();
  #checkedCheckpoints = 0;
  #checkedReceipts = 0;

  // The log so far.
  #entries = 0;
  #redacted = 0;
  #next = 0;
  #lastHash: Hash | undefined;
  #previousLink: 'held' | 'broken' | 'none' = 'none';
  #lastChanged = -1;
  #firstTimeMs: number | undefined;
  #lastTimeMs: number | undefined;
  readonly #gaps = new RangeSet(MAX_RANGES);
  readonly #unexplained = new RangeSet(MAX_RANGES);
  /** All leaves from 0 without a gap; undefined once there was one, or in a partial export. */
  #tree: RootStack | undefined;

  constructor(keys: TrustedKeys, known: KnownFacts = {}) {
    this.#keys = keys;
    this.#known = known;
  }

  push(line: string): void {
    this.#line++;
    if (this.#unreadable) return;
    if (this.#header === undefined) this.#readHeader(line);
    else if (this.#end !== undefined) this.#find('malformed_line', 'a line after the last one');
    else this.#readLine(this.#header, line);
  }

  #readLine(header: ParsedHeader, line: string): void {
    try {
      const parsed = parseLine(line);
      if (parsed.type === 'end') this.#end = parsed.end;
      else this.#readEntry(header, parsed.entry);
    } catch (error) {
      this.#find('malformed_line', reason(error));
    }
  }

  #find(code: FindingCode, message: string, seq?: number): void {
    this.#findings.add(code, message, { line: this.#line, ...(seq === undefined ? {} : { seq }) });
  }

  /** A finding that no line of the export shows. */
  #conclude(code: FindingCode, message: string, seq?: number): void {
    this.#findings.add(code, message, seq === undefined ? {} : { seq });
  }

  #readHeader(line: string): void {
    let header: ParsedHeader;
    try {
      header = parseHeader(line);
    } catch (error) {
      this.#unreadable = true;
      this.#find('malformed_line', `the header: ${reason(error)}`);
      return;
    }
    if (header.version !== FORMAT_VERSION) {
      this.#unreadable = true;
      this.#find('unknown_version', 'the export has a version that this verifier does not know');
      return;
    }
    this.#header = header;
    this.#next = header.from;
    if (header.kind === 'full') this.#tree = new RootStack();
    if (this.#known.tenant !== undefined && this.#known.tenant !== header.tenant) {
      this.#find('origin_mismatch', 'the export is of another tenant than expected');
    }
    this.#readCheckpoint(header);
    this.#readKnown(header);
    this.#compareHeads();
  }

  #readCheckpoint(header: ParsedHeader): void {
    let signers: string[] = [];
    try {
      signers = verifyNote(header.checkpoint, this.#keys.checkpointKeys).signers.map(({ key }) => key.name);
    } catch (error) {
      this.#findNote(error, "the export's checkpoint");
    }
    try {
      // Where its signature doesn't hold it still helps to find what was changed.
      this.#head = parseCheckpointText(parseNote(header.checkpoint).text);
    } catch (error) {
      // What kept verifyNote from getting as far was found there.
      if (signers.length > 0) this.#findNote(error, "the export's checkpoint");
      return;
    }
    const { origin, size, root } = this.#head;
    this.#checkpoint = { size, root, signers, witnesses: this.#witnesses(header.checkpoint) };
    if (!isOriginOf(origin, header.tenant) || (this.#known.origin ?? origin) !== origin) {
      this.#find('origin_mismatch', "the export's checkpoint is of another log");
    }
    if (header.kind === 'range' && header.to > size) {
      this.#find('not_covered', 'the export reaches beyond its checkpoint', size);
    }
    if (header.kind === 'selection' && header.to !== size) {
      // A narrower claim would be one that nothing in the export proves.
      this.#find('malformed_line', "a selection is of all the checkpoint's entries");
    }
    if (header.kind === 'full' && header.to < size) {
      this.#find('truncated', `the export has ${header.to} entries and its checkpoint ${size}`, header.to);
    }
  }

  #witnesses(note: string): { name: string; time: number }[] {
    try {
      const { signers } = verifyNote(note, this.#keys.witnessKeys ?? []);
      return signers.map(({ key, time }) => ({ name: key.name, time: time ?? 0 }));
    } catch (error) {
      // Witnesses are reported where there are any; a forged one is found.
      if (codeOf(error) === 'bad_signature') this.#findNote(error, "a witness's signature");
      return [];
    }
  }

  #findNote(error: unknown, label: string): void {
    const code = codeOf(error);
    this.#find(isNoteCode(code) ? code : 'malformed_checkpoint', `${label}: ${reason(error)}`);
  }

  /** Reads what the auditor has. What does not hold by itself, or is about another log, proves nothing here. */
  #readKnown({ tenant }: ParsedHeader): void {
    const origin = this.#known.origin ?? this.#head?.origin;
    const isHere = (head: TreeHead, label: string): boolean => {
      if (isOriginOf(head.origin, tenant) && (origin ?? head.origin) === head.origin) return true;
      this.#find('origin_mismatch', `${label} is of another log`);
      return false;
    };
    for (const [i, note] of (this.#known.checkpoints ?? []).entries()) {
      const label = `known checkpoint ${i + 1}`;
      try {
        const head = verifyTreeHead(note, this.#keys.checkpointKeys);
        if (!isHere(head, label)) continue;
        this.#checkedCheckpoints++;
        this.#heads.push({ ...head, label });
      } catch (error) {
        this.#findNote(error, label);
      }
    }
    for (const [i, value] of (this.#known.receipts ?? []).entries()) {
      const label = `receipt ${i + 1}`;
      try {
        const { entry, leafHash: hash, head, checkpoint } = checkReceipt(value, this.#keys);
        if (!isHere(head, label)) continue;
        this.#checkedReceipts++;
        this.#heads.push({ ...head, label, seq: entry.seq });
        if (checkpoint !== undefined)
          this.#heads.push({ ...checkpoint, label: `the checkpoint of ${label}` });
        const same = this.#receiptEntries.get(entry.seq) ?? [];
        this.#receiptEntries.set(entry.seq, [...same, { leafHash: hash, label }]);
      } catch (error) {
        const code = codeOf(error);
        this.#find(isNoteCode(code) ? code : 'bad_receipt', `${label}: ${reason(error)}`);
      }
    }
    if (this.#head !== undefined) this.#heads.push({ ...this.#head, label: '' });
    this.#heads.sort((a, b) => a.size - b.size);
  }

  /** In a full export: compares the heads of the size that has just been reached. */
  #compareHeads(): void {
    if (this.#tree === undefined) return;
    let root: Hash | undefined;
    for (
      let head = this.#heads[this.#nextHead];
      head?.size === this.#tree.size;
      head = this.#heads[++this.#nextHead]
    ) {
      root ??= this.#tree.root();
      if (equalBytes(root, head.root)) continue;
      if (head.label === '') {
        this.#find('root_mismatch', `the first ${head.size} entries do not give the root of the checkpoint`);
      } else {
        this.#find('forked', `${head.label} has another root for the first ${head.size} entries`);
      }
    }
  }

  #readEntry(header: ParsedHeader, entry: ParsedEntry): void {
    const { seq, disclosed } = entry;
    this.#entries++;
    if (seq < header.from || seq >= header.to) {
      this.#find('malformed_line', 'an entry outside of the range that the header gives', seq);
      return;
    }
    const hash = leafHash(encodeRecord({ tenant: header.tenant, ...entry }));
    if (
      disclosed !== undefined &&
      !equalBytes(commitmentOf(disclosed.salt, disclosed.canonical.bytes), entry.commitment)
    ) {
      this.#find('changed_event', 'the event is not the one that the entry commits to', seq);
    }
    this.#checkProof(header, entry, hash);
    for (const known of this.#receiptEntries.get(seq) ?? []) {
      if (!equalBytes(known.leafHash, hash)) {
        this.#find('forked', `${known.label} has another entry here`, seq);
      }
    }
    if (seq < this.#next) this.#readLate(seq);
    else this.#readNext(header, entry, hash);
  }

  #readNext(header: ParsedHeader, entry: ParsedEntry, hash: Hash): void {
    const { seq, timeMs } = entry;
    if (seq > this.#next) {
      if (header.kind !== 'selection') this.#leaveOut(this.#next, seq - 1);
      this.#lastHash = undefined;
      this.#previousLink = 'none';
    }
    this.#checkLink(entry);
    if (this.#lastTimeMs !== undefined && timeMs < this.#lastTimeMs) {
      this.#find('time_backwards', 'the entry is dated before the one in front of it', seq);
    }
    this.#firstTimeMs ??= timeMs;
    this.#lastTimeMs = timeMs;
    this.#lastHash = hash;
    this.#next = seq + 1;
    this.#checkRedaction(header, entry);
    this.#tree?.push(hash);
    this.#compareHeads();
  }

  /** An entry that a later one has overtaken: it was moved, or it is there twice. */
  #readLate(seq: number): void {
    this.#tree = undefined;
    if (this.#gaps.remove(seq, seq)) this.#find('reordered', 'the entry stands behind a later one', seq);
    else this.#find('duplicate', 'the entry was there before', seq);
  }

  #leaveOut(first: number, last: number): void {
    this.#tree = undefined;
    // Entries may still follow out of order, so what is missing is known at the end only, unless it is too much to keep.
    if (!this.#gaps.append(first, last)) this.#find('missing_entry', missing(first, last), first);
  }

  /** The proof that a partial export has with every entry, and a full one with none. */
  #checkProof(header: ParsedHeader, { seq, proof }: ParsedEntry, hash: Hash): void {
    if (header.kind === 'full') {
      if (proof !== undefined) this.#find('malformed_line', 'a full export has no inclusion proofs', seq);
    } else if (proof === undefined) {
      this.#find('malformed_line', 'a partial export needs an inclusion proof with every entry', seq);
    } else if (this.#head !== undefined && seq < this.#head.size) {
      if (!verifyInclusion(hash, seq, this.#head.size, proof, this.#head.root)) {
        this.#find('changed_record', 'the entry is not in the tree of the checkpoint', seq);
      }
    }
  }

  /**
   * The link from the entry before. A link that breaks between two that hold puts the blame on the entry in front of
   * it, because the one behind it has a successor that vouches for it; two in a row put it on the entry between.
   */
  #checkLink({ seq, prev }: ParsedEntry): void {
    const expected = seq === 0 ? ZERO_HASH : this.#lastHash;
    if (expected === undefined) return;
    const held = equalBytes(prev, expected);
    if (!held) this.#find('broken_chain', 'prev is not the hash of the entry before', seq);
    const changed = this.#previousLink === 'broken' ? (held ? seq - 2 : seq - 1) : -1;
    if (changed >= 0 && changed > this.#lastChanged) {
      this.#lastChanged = changed;
      this.#find('changed_record', 'the entry is not the one that its neighbours are chained to', changed);
    }
    this.#previousLink = held ? 'held' : 'broken';
  }

  #checkRedaction(header: ParsedHeader, { seq, disclosed }: ParsedEntry): void {
    if (disclosed === undefined) {
      this.#redacted++;
      // A part of a log may lack the event that explains the redaction.
      if (header.kind === 'full' && !this.#unexplained.append(seq, seq)) {
        this.#find('unexplained_redaction', 'more redactions than a verifier keeps', seq);
      }
      return;
    }
    const { kind, entries } = disclosed.event;
    if (kind !== REDACTION_EVENT_KIND || !Array.isArray(entries)) return;
    for (const pair of entries) {
      const [first, last]: unknown[] = Array.isArray(pair) && pair.length === 2 ? pair : [];
      if (Number.isSafeInteger(first) && Number.isSafeInteger(last)) {
        // Only entries in front of this one are in the set.
        this.#unexplained.remove(Number(first), Number(last));
      }
    }
  }

  end(): ExportReport {
    const header = this.#header;
    if (header !== undefined) this.#finish(header);
    else if (!this.#unreadable) this.#conclude('truncated', 'the export is empty');
    const findings = this.#findings;
    return {
      ok: findings.none,
      ...(header === undefined
        ? {}
        : { kind: header.kind, tenant: header.tenant, from: header.from, to: header.to }),
      ...(this.#head === undefined ? {} : { origin: this.#head.origin }),
      ...(this.#checkpoint === undefined ? {} : { checkpoint: this.#checkpoint }),
      entries: this.#entries,
      redacted: this.#redacted,
      ...(this.#firstTimeMs === undefined ? {} : { firstTimeMs: this.#firstTimeMs }),
      ...(this.#lastTimeMs === undefined ? {} : { lastTimeMs: this.#lastTimeMs }),
      checkedCheckpoints: this.#checkedCheckpoints,
      checkedReceipts: this.#checkedReceipts,
      findings: findings.list,
      counts: findings.counts,
    };
  }

  #finish(header: ParsedHeader): void {
    if (this.#end === undefined) {
      this.#conclude('truncated', 'the export ends without its last line');
    } else if (this.#end.entries !== this.#entries) {
      const code = this.#end.entries > this.#entries ? 'missing_entry' : 'malformed_line';
      this.#conclude(code, `the last line counts ${this.#end.entries} entries, there are ${this.#entries}`);
    }
    if (header.kind !== 'selection' && this.#next < header.to) {
      this.#conclude('truncated', `the entries from ${this.#next} on are missing`, this.#next);
    }
    for (const { first, last } of this.#gaps.ranges()) {
      this.#conclude('missing_entry', missing(first, last), first);
    }
    for (const { first, last } of this.#unexplained.ranges()) {
      const which = first === last ? `entry ${first} lacks its` : `entries ${first} to ${last} lack their`;
      this.#conclude('unexplained_redaction', `${which} event, and no event says why`, first);
    }
    if (header.kind === 'full') this.#finishFull(header);
    else this.#finishPart(header);
  }

  #finishFull({ to }: ParsedHeader): void {
    for (const { size, label } of this.#heads.slice(this.#nextHead)) {
      if (label === '') {
        // A checkpoint of more entries than the export has was found at the header.
        if (size <= to) {
          this.#conclude(
            'root_mismatch',
            'entries are missing or moved, so the root of the checkpoint does not come out',
          );
        }
      } else if (size > to) {
        this.#conclude('truncated', `${label} is of a log of ${size} entries, the export ends at ${to}`, to);
      } else {
        this.#conclude('unproven', `entries are missing or moved, so ${label} cannot be compared`);
      }
    }
    if (this.#head !== undefined && this.#head.size < to) {
      const { size } = this.#head;
      this.#conclude('not_covered', `${to - size} entries are beyond the checkpoint of ${size}`, size);
    }
  }

  /** In a part of a log, older heads are compared by consistency proofs. */
  #finishPart({ kind }: ParsedHeader): void {
    if (this.#head === undefined) return;
    const { size, root } = this.#head;
    for (const known of this.#heads) {
      if (known.label === '') continue;
      if (known.size > size) {
        this.#conclude(
          'truncated',
          `${known.label} is of a log of ${known.size} entries, the checkpoint of ${size}`,
          size,
        );
        continue;
      }
      const proofs = (this.#end?.consistency ?? [])
        .filter(({ from }) => from === known.size)
        .map(({ proof }) => proof);
      // Equal sizes and the empty tree need no proof.
      if (known.size === size || known.size === 0) proofs.push([]);
      if (proofs.length === 0) {
        this.#conclude(
          'unproven',
          `the ${kind} has no consistency proof for ${known.label}, of size ${known.size}`,
        );
      } else if (!proofs.some((proof) => verifyConsistency(known.size, size, known.root, root, proof))) {
        this.#conclude('forked', `${known.label} is not consistent with the checkpoint`);
      }
    }
  }
}

function missing(first: number, last: number): string {
  return first === last ? `entry ${first} is missing` : `entries ${first} to ${last} are missing`;
}

function codeOf(error: unknown): AuditErrorCode {
  return error instanceof AuditError ? error.code : 'malformed_line';
}

function reason(error: unknown): string {
  // An error that is none of ours may quote content.
  return error instanceof AuditError ? error.message : 'cannot be read';
}

/**
 * Verifies an export.
 *
 * @param lines the export's lines without newlines, such as `readLines` makes of bytes
 * @returns the report; whatever the lines are, it throws only what reading them throws
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  keys: TrustedKeys,
  known: KnownFacts = {},
): Promise<ExportReport> {
  const verifier = new ExportVerifier(keys, known);
  for await (const line of lines) verifier.push(line);
  return verifier.end();
}
