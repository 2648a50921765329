/** Name, version and shape of the export. The release receipt's shape is the protocol's `Receipt`. */
import type { TenantId } from '@astis/protocol';

export const EXPORT_FORMAT = 'astis-audit-export';
export const FORMAT_VERSION = 1;

/**
 * `full`: every entry from 0, which proves itself. `range`: every entry from `from` to `to`. `selection`: entries
 * that somebody chose among all; that none is left out is not provable, so it is from 0 to the checkpoint's size.
 * The latter two carry an inclusion proof with every entry.
 */
export type ExportKind = 'full' | 'range' | 'selection';

export interface ExportHeader {
  readonly kind: ExportKind;
  readonly tenant: TenantId;
  /** The first entry that the export may have; other than 0 in a range only. */
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
