/** Names, versions and shapes of the two JSON formats that leave the log: the export and the release receipt. */
import type { TenantId } from '@astis/protocol';
import type { JsonObject } from './event.ts';

export const EXPORT_FORMAT = 'astis-audit-export';
export const RECEIPT_FORMAT = 'astis-audit-receipt';
export const FORMAT_VERSION = 1;

/**
 * `full`: every entry from 0, which proves itself. `range`: every entry from `from` to `to`. `selection`: entries
 * that somebody chose between `from` and `to`; that none is left out is not provable. The latter two carry an
 * inclusion proof with every entry.
 */
export type ExportKind = 'full' | 'range' | 'selection';

export interface ExportHeader {
  readonly kind: ExportKind;
  readonly tenant: TenantId;
  /** The first entry that the export may have; 0 in a full one. */
  readonly from: number;
  /** One past the last. */
  readonly to: number;
  /** The signed checkpoint, a C2SP signed note, that everything is proven against. */
  readonly checkpoint: string;
}

/** Proof that the export's checkpoint continues the tree of `from` entries. Hashes are base64url. */
export interface ExportedConsistency {
  readonly from: number;
  readonly proof: readonly string[];
}

/** What a releaser gives the recipient: a promise, signed at the append, that this entry is in the log. */
export interface Receipt {
  readonly format: typeof RECEIPT_FORMAT;
  readonly version: typeof FORMAT_VERSION;
  /** The encoded record, base64url. */
  readonly record: string;
  readonly event: JsonObject;
  /** base64url. */
  readonly salt: string;
  /** Inclusion proof of the record in the tree of the note, base64url hashes from the leaf's sibling up. */
  readonly proof: readonly string[];
  /** The receipt note: a tree head signed by the gateway's receipt key. */
  readonly note: string;
  /** The newest checkpoint that the releaser had, signed by the tenant's checkpoint key. */
  readonly checkpoint?: string;
}
