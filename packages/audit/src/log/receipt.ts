/** Making release receipts. */
import type { Receipt } from '@astis/protocol';
import { toBase64Url, utf8 } from '@astis/protocol';
import { AuditError } from '../errors.ts';
import type { AppendedBatch } from './append.ts';

/**
 * The receipt of the entry `seq` of a batch.
 *
 * @param note the batch's tree head (`checkpointText(origin, batch.head.size, batch.root)`), signed by the receipt key
 * @param checkpoint the newest checkpoint signed by the tenant's checkpoint key, if there is one
 * @throws {AuditError} `out_of_range` for an entry of another batch.
 */
export function makeReceipt(batch: AppendedBatch, seq: number, note: string, checkpoint?: string): Receipt {
  const entry = batch.entries[seq - (batch.head.size - batch.entries.length)];
  if (entry === undefined) throw new AuditError('out_of_range', 'not an entry of the batch');
  return {
    record: toBase64Url(entry.record),
    event: toBase64Url(utf8(entry.event)),
    salt: toBase64Url(entry.salt),
    seq,
    proof: batch.inclusionProof(seq).map(toBase64Url),
    note,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}
