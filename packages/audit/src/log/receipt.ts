/** Making release receipts. */
import { toBase64Url } from '@astis/protocol';
import type { Receipt } from '../formats.ts';
import { FORMAT_VERSION, RECEIPT_FORMAT } from '../formats.ts';
import type { AppendedBatch } from './append.ts';

/**
 * The receipt of the entry `seq` of a batch.
 *
 * @param note the batch's tree head (`checkpointText(origin, batch.head.size, batch.root)`), signed by the receipt key
 * @param checkpoint the newest checkpoint signed by the tenant's checkpoint key, if there is one
 * @throws {AuditError} `out_of_range` for an entry of another batch.
 */
export function makeReceipt(batch: AppendedBatch, seq: number, note: string, checkpoint?: string): Receipt {
  const proof = batch.inclusionProof(seq).map(toBase64Url);
  const entry = batch.entries.find((each) => each.seq === seq);
  return {
    format: RECEIPT_FORMAT,
    version: FORMAT_VERSION,
    record: toBase64Url(entry?.record ?? new Uint8Array(0)),
    event: JSON.parse(entry?.event ?? '{}'),
    salt: toBase64Url(entry?.salt ?? new Uint8Array(0)),
    proof,
    note,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}
