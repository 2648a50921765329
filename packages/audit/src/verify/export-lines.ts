/** Parsing the three kinds of line of an export. A line must be, byte for byte, the one way to write what it says. */
import type { TenantId } from '@astis/protocol';
import { parseTenantId, toBase64Url } from '@astis/protocol';
import canonicalize from 'canonicalize';
import { AuditError } from '../errors.ts';
import type { CanonicalEvent, JsonObject } from '../event.ts';
import { canonicalEvent } from '../event.ts';
import type { ExportHeader, ExportKind } from '../formats.ts';
import { EXPORT_FORMAT } from '../formats.ts';
import type { Hash } from '../hashes.ts';
import { Fields } from './fields.ts';
import { MAX_LINE_BYTES } from './lines.ts';

export interface ParsedHeader extends ExportHeader {
  readonly version: number;
}

export interface ParsedEntry {
  readonly seq: number;
  readonly timeMs: number;
  readonly prev: Hash;
  readonly commitment: Hash;
  readonly disclosed?: {
    readonly salt: Uint8Array;
    readonly event: JsonObject;
    readonly canonical: CanonicalEvent;
  };
  readonly proof?: readonly Hash[];
}

export interface ParsedEnd {
  readonly entries: number;
  readonly consistency: readonly { readonly from: number; readonly proof: readonly Hash[] }[];
}

export type ParsedLine =
  | { readonly type: 'entry'; readonly entry: ParsedEntry }
  | { readonly type: 'end'; readonly end: ParsedEnd };

const HEADER_FIELDS = new Set(['checkpoint', 'format', 'from', 'kind', 'tenant', 'to', 'version']);
const ENTRY_FIELDS = new Set(['commitment', 'event', 'prev', 'proof', 'salt', 'seq', 'time']);
const END_FIELDS = new Set(['consistency', 'entries']);
const CONSISTENCY_FIELDS = new Set(['from', 'proof']);
const KINDS: readonly string[] = ['full', 'range', 'selection'] satisfies ExportKind[];
const isKind = (text: string): text is ExportKind => KINDS.includes(text);

const malformed = (why: string): AuditError => new AuditError('malformed_line', why);

function parseJson(line: string): unknown {
  if (line.length > MAX_LINE_BYTES) throw malformed('line too long');
  try {
    return JSON.parse(line);
  } catch {
    throw malformed('not JSON');
  }
}

function checkCanonical(line: string, canonical: string | undefined): void {
  // Of all ways to write a value (other order, doubled names, spaces, escapes, numbers) just one is let through.
  if (canonical !== line) throw malformed('not written as RFC 8785 has it');
}

function tenantOf(text: string): TenantId {
  try {
    return parseTenantId(text);
  } catch {
    throw malformed('tenant is not a tenant id');
  }
}

/** @throws {AuditError} `malformed_line`. The version is for the caller to judge, and then the rest. */
export function parseHeader(line: string): ParsedHeader {
  const value = parseJson(line);
  const fields = new Fields(value, HEADER_FIELDS, 'malformed_line');
  if (fields.text('format') !== EXPORT_FORMAT) throw malformed('not an export of an audit log');
  const kind = fields.text('kind');
  if (!isKind(kind)) throw malformed('kind is none of full, range and selection');
  const header: ParsedHeader = {
    kind,
    version: fields.uint('version'),
    tenant: tenantOf(fields.text('tenant')),
    from: fields.uint('from'),
    to: fields.uint('to'),
    checkpoint: fields.text('checkpoint'),
  };
  if (header.from > header.to || (kind !== 'range' && header.from !== 0)) {
    throw malformed('from and to are no range');
  }
  checkCanonical(line, canonicalText(value));
  return header;
}

/** For values whose depth their fields have bounded; a lone surrogate is all that can still be wrong with them. */
function canonicalText(value: unknown): string | undefined {
  try {
    return canonicalize(value);
  } catch {
    return undefined;
  }
}

function parseEntry(line: string, value: unknown): ParsedEntry {
  const fields = new Fields(value, ENTRY_FIELDS, 'malformed_line');
  const seq = fields.uint('seq');
  const timeMs = fields.time('time');
  const prev = fields.bytes32('prev');
  const commitment = fields.bytes32('commitment');
  const proof = fields.has('proof') ? fields.hashes('proof') : undefined;
  if (fields.has('event') !== fields.has('salt')) throw malformed('event and salt stand or go together');
  let disclosed: ParsedEntry['disclosed'];
  if (fields.has('event')) {
    const event = fields.object('event');
    disclosed = { salt: fields.bytes32('salt'), event, canonical: canonicalEventOf(event) };
  }
  checkCanonical(
    line,
    `{"commitment":"${toBase64Url(commitment)}",` +
      (disclosed === undefined ? '' : `"event":${disclosed.canonical.text},`) +
      `"prev":"${toBase64Url(prev)}",` +
      (proof === undefined ? '' : `"proof":[${proof.map((hash) => `"${toBase64Url(hash)}"`).join()}],`) +
      (disclosed === undefined ? '' : `"salt":"${toBase64Url(disclosed.salt)}",`) +
      `"seq":${seq},"time":"${fields.text('time')}"}`,
  );
  return {
    seq,
    timeMs,
    prev,
    commitment,
    ...(disclosed === undefined ? {} : { disclosed }),
    ...(proof === undefined ? {} : { proof }),
  };
}

function canonicalEventOf(event: JsonObject): CanonicalEvent {
  try {
    return canonicalEvent(event);
  } catch {
    throw malformed('event is not one that a log takes');
  }
}

function parseEnd(line: string, value: unknown): ParsedEnd {
  const fields = new Fields(value, END_FIELDS, 'malformed_line');
  const consistency = fields.list('consistency').map((each) => {
    const proof = new Fields(each, CONSISTENCY_FIELDS, 'malformed_line');
    return { from: proof.uint('from'), proof: proof.hashes('proof') };
  });
  const end = { entries: fields.uint('entries'), consistency };
  checkCanonical(line, canonicalText(value));
  return end;
}

/** @throws {AuditError} `malformed_line`. */
export function parseLine(line: string): ParsedLine {
  const value = parseJson(line);
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'entries')) {
    return { type: 'end', end: parseEnd(line, value) };
  }
  return { type: 'entry', entry: parseEntry(line, value) };
}
