/** Reading JSON that nobody vouches for: exactly the fields that a format has, each of its kind. */
import { fromBase64Url } from '@astis/protocol';
import type { AuditErrorCode } from '../errors.ts';
import { AuditError } from '../errors.ts';
import type { JsonObject } from '../event.ts';
import type { Hash } from '../hashes.ts';
import { HASH_BYTES } from '../hashes.ts';

/** A proof in a tree of 2^53 leaves has fewer hashes than this. */
const MAX_PROOF = 128;

export class Fields {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #code: AuditErrorCode;

  /** @throws {AuditError} of the given code, as all methods do, when the value is no object or has another field. */
  constructor(value: unknown, names: ReadonlySet<string>, code: AuditErrorCode) {
    this.#code = code;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.#fail('not a JSON object');
    // A JSON object's own properties are all its fields, `__proto__` included.
    this.#object = value as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(value))
      if (!names.has(name)) this.#fail('a field that the format does not have');
  }

  #fail(why: string): never {
    throw new AuditError(this.#code, why);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name);
  }

  #get(name: string): unknown {
    if (!this.has(name)) this.#fail(`${name} is missing`);
    return this.#object[name];
  }

  text(name: string): string {
    const value = this.#get(name);
    if (typeof value !== 'string') this.#fail(`${name} is not text`);
    return value;
  }

  /** 0 to 2^53 - 1. */
  uint(name: string): number {
    const value = this.#get(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      this.#fail(`${name} is not a count`);
    return value;
  }

  /** RFC 3339 in UTC with three decimals, as milliseconds since the epoch. */
  time(name: string): number {
    const text = this.text(name);
    const value = /^[0-9]{4}-/.test(text) && text.length === 24 ? Date.parse(text) : Number.NaN;
    if (!(value >= 0) || new Date(value).toISOString() !== text) this.#fail(`${name} is not a time`);
    return value;
  }

  bytes(name: string): Uint8Array {
    return this.#decode(name, this.text(name));
  }

  bytes32(name: string): Uint8Array {
    const value = this.bytes(name);
    if (value.length !== HASH_BYTES) this.#fail(`${name} is not 32 bytes`);
    return value;
  }

  #decode(name: string, text: string): Uint8Array {
    try {
      return fromBase64Url(text);
    } catch {
      return this.#fail(`${name} is not base64url`);
    }
  }

  list(name: string): readonly unknown[] {
    const value = this.#get(name);
    if (!Array.isArray(value)) this.#fail(`${name} is not a list`);
    return value;
  }

  hashes(name: string): Hash[] {
    const list = this.list(name);
    if (list.length > MAX_PROOF) this.#fail(`${name} is too long`);
    return list.map((text) => {
      const hash = typeof text === 'string' ? this.#decode(name, text) : undefined;
      if (hash?.length !== HASH_BYTES) return this.#fail(`${name} has something that is not a hash`);
      return hash;
    });
  }

  object(name: string): JsonObject {
    const value = this.#get(name);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      this.#fail(`${name} is not an object`);
    return value as JsonObject;
  }
}
