/** An event: what happened, as a JSON object in the one serialisation of RFC 8785 (JCS). */
import canonicalize from 'canonicalize';
import { AuditError } from './errors.ts';

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };
export type JsonObject = { readonly [name: string]: JsonValue };

/** An event's canonical UTF-8 is at most this long. */
export const MAX_EVENT_BYTES = 65_536;

/** Objects and arrays in an event nest at most this deep, the event itself counted. */
export const MAX_EVENT_DEPTH = 16;

/** The event that says which entries were redacted: {"kind": "audit.redacted", "entries": [[first, last], …], …}. */
export const REDACTION_EVENT_KIND = 'audit.redacted';

function tooDeep(value: unknown, left: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (left === 0) return true;
  for (const inner of Object.values(value)) if (tooDeep(inner, left - 1)) return true;
  return false;
}

const encoder = new TextEncoder();

/** An event's canonical form, as text and as the bytes that are committed to. */
export interface CanonicalEvent {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/**
 * Serialises an event by RFC 8785.
 *
 * @throws {AuditError} `invalid_event`: not a JSON object, nested too deeply, too long, or with a lone surrogate.
 */
export function canonicalEvent(event: JsonObject): CanonicalEvent {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw new AuditError('invalid_event', 'an event is a JSON object');
  }
  if (tooDeep(event, MAX_EVENT_DEPTH)) throw new AuditError('invalid_event', 'event nested too deeply');
  let text: string | undefined;
  try {
    text = canonicalize(event);
  } catch {
    // The library's message may tell of the content; ours never does.
  }
  if (text === undefined) throw new AuditError('invalid_event', 'event has a value that JSON cannot carry');
  const bytes = encoder.encode(text);
  if (bytes.length > MAX_EVENT_BYTES) {
    throw new AuditError('invalid_event', `event longer than ${MAX_EVENT_BYTES} bytes`);
  }
  return { text, bytes };
}
