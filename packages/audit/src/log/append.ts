/** Appending a batch of events to one tenant's log: a pure function from the log's head to the next head and the rows. */
import type { TenantId } from '@astis/protocol';
import { AuditError } from '../errors.ts';
import type { JsonObject } from '../event.ts';
import { canonicalEvent } from '../event.ts';
import type { Hash } from '../hashes.ts';
import { commitmentOf, leafHash, SALT_BYTES, ZERO_HASH } from '../hashes.ts';
import type { EntryRecord } from '../record.ts';
import { encodeRecord } from '../record.ts';
import type { TileNode, TreeState } from './tree.ts';
import { appendLeaves, EMPTY_TREE, rootOf } from './tree.ts';

/** All that the appender must keep of a log, under the tenant's sequencer lock. */
export interface LogHead extends TreeState {
  /** Leaf hash of the last entry; 32 zero bytes while there is none. */
  readonly lastHash: Hash;
  readonly lastTimeMs: number;
}

export const EMPTY_LOG: LogHead = { ...EMPTY_TREE, lastHash: ZERO_HASH, lastTimeMs: 0 };

export interface NewEvent {
  readonly event: JsonObject;
  /** 32 fresh random bytes, never used for another event. */
  readonly salt: Uint8Array;
  /** The database's clock, in milliseconds. */
  readonly timeMs: number;
}

export interface AppendedEntry extends EntryRecord {
  readonly salt: Uint8Array;
  /** The event's canonical JSON (RFC 8785): what export and receipt show, byte for byte. */
  readonly event: string;
  /** The encoded record. */
  readonly record: Uint8Array;
  readonly leafHash: Hash;
}

export interface AppendedBatch {
  readonly head: LogHead;
  readonly entries: readonly AppendedEntry[];
  readonly completedTileRoots: readonly TileNode[];
  /** Root of the tree with this batch, of `head.size` leaves: what the receipt note signs. */
  readonly root: Hash;
  /** Proof of the entry `seq` of this batch in that tree. Costs no read and hardly a hash. */
  inclusionProof(seq: number): Hash[];
}

/**
 * Chains the events, in order, to the head. An entry's time is never less than the one before it: when the clock
 * stepped back the entry takes its predecessor's time, so that the log stays ordered and goes on recording denials.
 *
 * @throws {AuditError} `invalid_event`, `invalid_salt`, `invalid_head` or `out_of_range`; nothing is appended then.
 */
export function appendEvents(tenant: TenantId, head: LogHead, events: readonly NewEvent[]): AppendedBatch {
  const entries: AppendedEntry[] = [];
  let { lastHash, lastTimeMs } = head;
  for (const { event, salt, timeMs } of events) {
    if (salt.length !== SALT_BYTES) throw new AuditError('invalid_salt', `a salt has ${SALT_BYTES} bytes`);
    const canonical = canonicalEvent(event);
    const fields: EntryRecord = {
      tenant,
      seq: head.size + entries.length,
      timeMs: Math.max(timeMs, lastTimeMs),
      prev: lastHash,
      commitment: commitmentOf(salt, canonical.bytes),
    };
    const record = encodeRecord(fields);
    lastHash = leafHash(record);
    lastTimeMs = fields.timeMs;
    entries.push({ ...fields, salt, event: canonical.text, record, leafHash: lastHash });
  }
  const { state, completedTileRoots, inclusionProof } = appendLeaves(
    head,
    entries.map((entry) => entry.leafHash),
  );
  return {
    head: { ...state, lastHash, lastTimeMs },
    entries,
    completedTileRoots,
    root: rootOf(state),
    inclusionProof,
  };
}
