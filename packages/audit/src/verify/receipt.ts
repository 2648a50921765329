/** Checking a release receipt, by its holder at once or by an auditor beside an export. */
import { equalBytes } from '@astis/protocol';
import { AuditError } from '../errors.ts';
import type { JsonObject } from '../event.ts';
import { canonicalEvent } from '../event.ts';
import type { Hash } from '../hashes.ts';
import { commitmentOf, leafHash } from '../hashes.ts';
import type { VerifierKey } from '../note-key.ts';
import type { EntryRecord } from '../record.ts';
import { decodeRecord } from '../record.ts';
import type { VerifiedTreeHead } from './checkpoint.ts';
import { verifyTreeHead } from './checkpoint.ts';
import { Fields } from './fields.ts';
import { verifyInclusion } from './proofs.ts';

/** The keys that a verifier was given beforehand, and not by the log. */
export interface TrustedKeys {
  /** The tenant's checkpoint keys, held by the key custody service. */
  readonly checkpointKeys: readonly VerifierKey[];
  /** The gateways' receipt keys. */
  readonly receiptKeys: readonly VerifierKey[];
  /** Witnesses' keys (`cosignature/v1`); their signatures are reported, none is required. */
  readonly witnessKeys?: readonly VerifierKey[];
}

export interface CheckedReceipt {
  readonly entry: EntryRecord;
  readonly leafHash: Hash;
  readonly event: JsonObject;
  /** The tree head that the receipt key signed. */
  readonly head: VerifiedTreeHead;
  /** The checkpoint that came with it. */
  readonly checkpoint?: VerifiedTreeHead;
}

const RECEIPT_FIELDS = new Set(['record', 'event', 'salt', 'seq', 'proof', 'note', 'checkpoint']);

/** An origin ends in the tenant's id, so that one tenant's tree head says nothing about another's log. */
export const isOriginOf = (origin: string, tenant: string): boolean => origin.endsWith(`/${tenant}`);

function parseEvent(bytes: Uint8Array): JsonObject {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const event: JsonObject = JSON.parse(text);
    if (canonicalEvent(event).text === text) return event;
  } catch {
    // No log takes such an event, whatever is wrong with it.
  }
  throw new AuditError('malformed_receipt', 'the event is not JSON as RFC 8785 has it');
}

/**
 * Checks that a receipt promises what it says: its event is the record's, the record is in the tree of its note, and
 * the note is signed. Whether the log kept the promise, only a later export or checkpoint shows.
 *
 * @param value the receipt as parsed JSON, of any shape
 * @throws {AuditError} `malformed_receipt`, `malformed_record`, `changed_event`, `not_included`,
 *   `malformed_note`, `malformed_checkpoint`, `bad_signature`, `unknown_key` or `origin_mismatch`.
 */
export function checkReceipt(value: unknown, keys: TrustedKeys): CheckedReceipt {
  const fields = new Fields(value, RECEIPT_FIELDS, 'malformed_receipt');
  const record = fields.bytes('record');
  const entry = decodeRecord(record);
  if (fields.uint('seq') !== entry.seq) {
    throw new AuditError('malformed_receipt', "seq is not the record's");
  }
  const event = fields.bytes('event');
  if (!equalBytes(commitmentOf(fields.bytes32('salt'), event), entry.commitment)) {
    throw new AuditError('changed_event', 'the event is not the one that the record commits to');
  }
  const head = verifyTreeHead(fields.text('note'), keys.receiptKeys);
  const hash = leafHash(record);
  if (!verifyInclusion(hash, entry.seq, head.size, fields.hashes('proof'), head.root)) {
    throw new AuditError('not_included', "the record is not in the tree of the receipt's note");
  }
  const checkpoint = fields.has('checkpoint')
    ? verifyTreeHead(fields.text('checkpoint'), keys.checkpointKeys)
    : undefined;
  if (
    !isOriginOf(head.origin, entry.tenant) ||
    (checkpoint !== undefined && checkpoint.origin !== head.origin)
  ) {
    throw new AuditError('origin_mismatch', "a tree head of the receipt is not of the record's log");
  }
  return {
    entry,
    leafHash: hash,
    event: parseEvent(event),
    head,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}
