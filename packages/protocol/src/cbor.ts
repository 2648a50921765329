/**
 * Deterministic CBOR (RFC 8949 §4.2.1): shortest integers, definite lengths, map keys in bytewise order.
 * Decoding is strict in the strongest sense: what doesn't re-encode to the very same bytes is refused,
 * whatever the library would have let through.
 */
import { decode, encode } from 'cborg';
import { equalBytes } from './bytes.ts';
import { ProtocolError } from './errors.ts';

export type Cbor = number | string | boolean | Uint8Array | readonly Cbor[] | ReadonlyMap<number, Cbor>;

/** No object of the protocol but an envelope's payload is larger. */
export const MAX_OBJECT_BYTES = 1 << 20;

// Arrays of arrays of a statement's recipients are the deepest that the protocol has.
const MAX_DEPTH = 8;

export function encodeCbor(value: Cbor): Uint8Array {
  const bytes = encode(value);
  // The library sometimes returns a Node Buffer, whose slice() doesn't copy: never let one out.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Refuses what the protocol never has, before the encoder sees it: deep nesting, null, floats, other map keys. */
function checkKind(value: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw new ProtocolError('invalid_field', 'nested too deeply');
  if (Array.isArray(value)) {
    for (const inner of value) checkKind(inner, depth + 1);
  } else if (value instanceof Map) {
    for (const [key, inner] of value) {
      if (!Number.isSafeInteger(key)) throw new ProtocolError('wrong_type', 'map key is not an integer');
      checkKind(inner, depth + 1);
    }
  } else if (
    !(value instanceof Uint8Array || Number.isSafeInteger(value)) &&
    typeof value !== 'string' &&
    typeof value !== 'boolean'
  ) {
    throw new ProtocolError('wrong_type', 'a kind of value that no object has');
  }
}

/** Decodes one item that takes up all of `bytes`. */
export function decodeCbor(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_OBJECT_BYTES) throw new ProtocolError('too_large', 'object of more than 1 MiB');
  let value: unknown;
  try {
    value = decode(bytes, {
      strict: true,
      useMaps: true,
      rejectDuplicateMapKeys: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: false,
    });
    checkKind(value, 0);
    if (equalBytes(encode(value), bytes)) return value;
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    // The library's own message may quote content; ours never does.
    throw new ProtocolError('malformed_encoding', 'not well-formed CBOR of the allowed kinds');
  }
  throw new ProtocolError('non_canonical', 'not deterministic CBOR (RFC 8949 section 4.2.1)');
}

/**
 * Reads the integer-keyed map of one protocol object. Every field is asked for once; `end` refuses the
 * object when it has a field that nobody asked for, so unknown (critical) fields are never ignored.
 */
export class FieldReader {
  readonly #map: ReadonlyMap<unknown, unknown>;
  readonly #what: string;
  #read = 0;

  constructor(value: unknown, what: string) {
    if (!(value instanceof Map)) throw new ProtocolError('wrong_type', `${what}: not a map`);
    this.#map = value;
    this.#what = what;
  }

  #fail(code: ProtocolError['code'], key: number, why: string): never {
    throw new ProtocolError(code, `${this.#what}, field ${key}: ${why}`);
  }

  #take(key: number): unknown {
    const value = this.#map.get(key);
    if (value === undefined) this.#fail('missing_field', key, 'missing');
    this.#read++;
    return value;
  }

  has(key: number): boolean {
    return this.#map.has(key);
  }

  bytes(key: number, length?: number): Uint8Array {
    const value = this.#take(key);
    if (!(value instanceof Uint8Array)) this.#fail('wrong_type', key, 'not a byte string');
    if (length !== undefined && value.length !== length)
      this.#fail('invalid_length', key, `not ${length} bytes`);
    return value;
  }

  /** A whole number from `min` to `max` (at most 2^53 - 1). */
  uint(key: number, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#take(key);
    if (typeof value !== 'number' || !Number.isSafeInteger(value))
      this.#fail('wrong_type', key, 'not an integer');
    if (value < min || value > max) this.#fail('invalid_field', key, 'out of range');
    return value;
  }

  text(key: number, maxLength: number): string {
    const value = this.#take(key);
    if (typeof value !== 'string') this.#fail('wrong_type', key, 'not text');
    if (value.length > maxLength) this.#fail('invalid_length', key, `longer than ${maxLength}`);
    return value;
  }

  bool(key: number): boolean {
    const value = this.#take(key);
    if (typeof value !== 'boolean') this.#fail('wrong_type', key, 'not true or false');
    return value;
  }

  array(key: number, maxLength: number): readonly unknown[] {
    const value = this.#take(key);
    if (!Array.isArray(value)) this.#fail('wrong_type', key, 'not an array');
    if (value.length > maxLength) this.#fail('invalid_length', key, `more than ${maxLength} items`);
    return value;
  }

  end(): void {
    if (this.#map.size !== this.#read)
      throw new ProtocolError('unknown_field', `${this.#what}: unknown field`);
  }
}
