/** What tests of formats ask again and again. */
import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import { expect } from 'vitest';
import { ProtocolError } from './formats.ts';

/** The code that something is refused with, or `accepted`. Anything but a ProtocolError fails the test. */
export function outcome(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** Every value comes back from its encoding as it was given. */
export function comesBack<T>(
  values: Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): void {
  fc.assert(
    fc.property(values, (value) => {
      expect(decode(encode(value))).toEqual(value);
    }),
  );
}
