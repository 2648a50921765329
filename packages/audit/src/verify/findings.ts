/** What a verifier may find. Every finding means that the export, or something beside it, is not proven. */

export type FindingCode =
  /** A line that no exporter writes: not canonical JSON, a field missing or in excess, an entry out of the range. */
  | 'malformed_line'
  | 'unknown_version'
  /** Event or salt are not what the entry commits to. */
  | 'changed_event'
  /** The entry's own record is not the one that was logged. */
  | 'changed_record'
  /** The entry's `prev` is not the hash of the entry before it. */
  | 'broken_chain'
  | 'missing_entry'
  | 'reordered'
  | 'duplicate'
  /** The entries do not give the root of the export's checkpoint. */
  | 'root_mismatch'
  /** A signature under a trusted key's name does not hold. */
  | 'bad_signature'
  /** A checkpoint or receipt note without any signature by a trusted key. */
  | 'unknown_key'
  | 'malformed_checkpoint'
  /** A given receipt that proves nothing by itself. */
  | 'bad_receipt'
  /** The export ends before its own end, or before what a known checkpoint or a receipt shows. */
  | 'truncated'
  /** A validly signed checkpoint or receipt contradicts the log. */
  | 'forked'
  | 'time_backwards'
  /** Something is about another log or another tenant than it should be. */
  | 'origin_mismatch'
  /** Entries after the checkpoint: chained, but nobody's signature stands for them. */
  | 'not_covered'
  /** An entry without its event, and no event of the log says that it was redacted. */
  | 'unexplained_redaction'
  /** A known checkpoint or a receipt that this partial export has no consistency proof for. */
  | 'unproven';

export interface Finding {
  readonly code: FindingCode;
  /** The entry that it is about. */
  readonly seq?: number;
  /** The line of the export, from 1, where it showed. */
  readonly line?: number;
  /** For people. Never content of an event. */
  readonly message: string;
}

/** Findings past this many are counted and not kept, so that a broken log of any length fits into memory. */
export const MAX_FINDINGS = 1000;

export class Findings {
  readonly list: Finding[] = [];
  readonly counts: Partial<Record<FindingCode, number>> = {};

  add(
    code: FindingCode,
    message: string,
    where: { readonly seq?: number; readonly line?: number } = {},
  ): void {
    this.counts[code] = (this.counts[code] ?? 0) + 1;
    if (this.list.length < MAX_FINDINGS) this.list.push({ code, ...where, message });
  }

  get none(): boolean {
    return this.list.length === 0;
  }
}
