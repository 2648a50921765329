/**
 * The record of one entry: the leaf data of the Merkle tree. A deterministic CBOR (RFC 8949 §4.2.1) array
 *
 *   [1, tenant: bstr .size 16, seq: uint, time: uint, prev: bstr .size 32, commitment: bstr .size 32]
 *
 * whose fixed shape leaves nothing to a general codec but the length of two integers.
 */
import type { TenantId } from '@astis/protocol';
import { uuidBytes, uuidText } from '@astis/protocol';
import { AuditError } from './errors.ts';
import type { Hash } from './hashes.ts';
import { HASH_BYTES } from './hashes.ts';

export const RECORD_VERSION = 1;

/** The last millisecond of the year 9999, the latest time that RFC 3339 writes. */
export const MAX_TIME_MS = 253_402_300_799_999;

export interface EntryRecord {
  readonly tenant: TenantId;
  /** Index in the tenant's log, from 0. */
  readonly seq: number;
  /** Milliseconds since the Unix epoch by the database's clock; never less than the entry before. */
  readonly timeMs: number;
  /** Leaf hash of the entry before; 32 zero bytes for the first. */
  readonly prev: Hash;
  readonly commitment: Hash;
}

function uintLength(value: number): number {
  if (value < 24) return 1;
  if (value < 0x100) return 2;
  if (value < 0x1_0000) return 3;
  return value < 0x1_0000_0000 ? 5 : 9;
}

function writeUint(out: Uint8Array, at: number, value: number): number {
  const length = uintLength(value);
  if (length === 1) {
    out[at] = value;
    return at + 1;
  }
  out[at] = 0x18 + Math.log2(length - 1);
  let rest = value;
  for (let i = at + length - 1; i > at; i--) {
    out[i] = rest % 0x100;
    rest = Math.floor(rest / 0x100);
  }
  return at + length;
}

function writeBytes(out: Uint8Array, at: number, head: readonly number[], bytes: Uint8Array): number {
  out.set(head, at);
  out.set(bytes, at + head.length);
  return at + head.length + bytes.length;
}

const TENANT_HEAD = [0x50];
const HASH_HEAD = [0x58, HASH_BYTES];

// A batch is of one tenant: its id is turned into bytes once.
let lastTenant: { readonly id: TenantId; readonly bytes: Uint8Array } | undefined;

function tenantBytes(id: TenantId): Uint8Array {
  if (lastTenant?.id !== id) lastTenant = { id, bytes: uuidBytes(id) };
  return lastTenant.bytes;
}

/** @throws {AuditError} `malformed_record` when a number or a length is out of range. */
export function encodeRecord(entry: EntryRecord): Uint8Array {
  const { seq, timeMs, prev, commitment } = entry;
  const tenant = tenantBytes(entry.tenant);
  if (!Number.isSafeInteger(seq) || seq < 0) throw new AuditError('malformed_record', 'seq out of range');
  if (!Number.isSafeInteger(timeMs) || timeMs < 0 || timeMs > MAX_TIME_MS) {
    throw new AuditError('malformed_record', 'time out of range');
  }
  if (tenant.length !== 16 || prev.length !== HASH_BYTES || commitment.length !== HASH_BYTES) {
    throw new AuditError('malformed_record', 'tenant, prev or commitment of the wrong length');
  }
  const out = new Uint8Array(2 + 17 + uintLength(seq) + uintLength(timeMs) + 2 * (2 + HASH_BYTES));
  out[0] = 0x86;
  out[1] = RECORD_VERSION;
  let at = writeBytes(out, 2, TENANT_HEAD, tenant);
  at = writeUint(out, at, seq);
  at = writeUint(out, at, timeMs);
  at = writeBytes(out, at, HASH_HEAD, prev);
  writeBytes(out, at, HASH_HEAD, commitment);
  return out;
}

class RecordReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new AuditError('malformed_record', 'record ends too early');
    return value;
  }

  expect(head: readonly number[], what: string): void {
    for (const wanted of head) {
      if (this.byte() !== wanted)
        throw new AuditError('malformed_record', `${what} is not what a record has there`);
    }
  }

  bytes(length: number): Uint8Array {
    const value = this.#bytes.slice(this.#at, this.#at + length);
    if (value.length !== length) throw new AuditError('malformed_record', 'record ends too early');
    this.#at += length;
    return value;
  }

  uint(max: number, what: string): number {
    const head = this.byte();
    if (head > 0x1b) throw new AuditError('malformed_record', `${what} is not an unsigned integer`);
    let value = head;
    const length = head < 0x18 ? 0 : 2 ** (head - 0x18);
    if (length > 0) value = 0;
    for (let i = 0; i < length; i++) value = value * 0x100 + this.byte();
    if (value > max || uintLength(value) !== 1 + length) {
      throw new AuditError('malformed_record', `${what} is out of range or not in its shortest form`);
    }
    return value;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new AuditError('malformed_record', 'bytes after the record');
  }
}

/** @throws {AuditError} `malformed_record` for all bytes but those that `encodeRecord` makes. */
export function decodeRecord(bytes: Uint8Array): EntryRecord {
  const reader = new RecordReader(bytes);
  reader.expect([0x86], 'the array');
  reader.expect([RECORD_VERSION], 'the version');
  reader.expect(TENANT_HEAD, 'the tenant');
  const tenant = uuidText(reader.bytes(16)) as TenantId;
  const seq = reader.uint(Number.MAX_SAFE_INTEGER, 'seq');
  const timeMs = reader.uint(MAX_TIME_MS, 'time');
  reader.expect(HASH_HEAD, 'prev');
  const prev = reader.bytes(HASH_BYTES);
  reader.expect(HASH_HEAD, 'the commitment');
  const commitment = reader.bytes(HASH_BYTES);
  reader.end();
  return { tenant, seq, timeMs, prev, commitment };
}
