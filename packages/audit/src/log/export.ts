/** Writing an export: each function gives one line, without its newline, in the one serialisation of RFC 8785. */
import { toBase64Url } from '@astis/protocol';
import type { ExportedConsistency, ExportHeader } from '../formats.ts';
import { EXPORT_FORMAT, FORMAT_VERSION } from '../formats.ts';
import type { Hash } from '../hashes.ts';

/** A stored entry as it is exported. */
export interface ExportableEntry {
  readonly seq: number;
  readonly timeMs: number;
  readonly prev: Hash;
  readonly commitment: Hash;
  /** Absent when the entry was redacted. `event` is the stored canonical JSON, written as it is. */
  readonly disclosed?: { readonly salt: Uint8Array; readonly event: string };
  /** Inclusion proof in the tree of the export's checkpoint: in a range and a selection, not in a full export. */
  readonly proof?: readonly Hash[];
}

// Names are written in RFC 8785's order by hand; integers and JSON.stringify's strings are already canonical.

const proofText = (proof: readonly Hash[]): string =>
  `[${proof.map((hash) => `"${toBase64Url(hash)}"`).join(',')}]`;

export function exportHeaderLine({ checkpoint, from, kind, tenant, to }: ExportHeader): string {
  return JSON.stringify({
    checkpoint,
    format: EXPORT_FORMAT,
    from,
    kind,
    tenant,
    to,
    version: FORMAT_VERSION,
  });
}

export function exportEntryLine({
  seq,
  timeMs,
  prev,
  commitment,
  disclosed,
  proof,
}: ExportableEntry): string {
  const event = disclosed === undefined ? '' : `"event":${disclosed.event},`;
  const proven = proof === undefined ? '' : `"proof":${proofText(proof)},`;
  const salt = disclosed === undefined ? '' : `"salt":"${toBase64Url(disclosed.salt)}",`;
  const fields = `"prev":"${toBase64Url(prev)}",${proven}${salt}"seq":${seq},"time":"${new Date(timeMs).toISOString()}"`;
  return `{"commitment":"${toBase64Url(commitment)}",${event}${fields}}`;
}

/**
 * The last line.
 *
 * @param entries how many entry lines the export has
 * @param consistency proofs from older sizes to the export's checkpoint, for who holds older checkpoints or receipts
 *   and gets no full export
 */
export function exportEndLine(
  entries: number,
  consistency: readonly { readonly from: number; readonly proof: readonly Hash[] }[] = [],
): string {
  const proofs: ExportedConsistency[] = consistency.map(({ from, proof }) => ({
    from,
    proof: proof.map(toBase64Url),
  }));
  return JSON.stringify({ consistency: proofs, entries });
}
