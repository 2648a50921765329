import { describe, expect, it } from 'vitest';
import { decodeCbor, encodeCbor, FieldReader, MAX_OBJECT_BYTES, ProtocolError } from './formats.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const refusal = (bytes: Uint8Array): string => {
  try {
    decodeCbor(bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'accepted';
};

describe('deterministic CBOR (RFC 8949 section 4.2.1)', () => {
  it.each([
    ['an integer longer than needed', '1800', 'malformed_encoding'],
    ['a length longer than needed', '5801ff', 'malformed_encoding'],
    ['an indefinite array', '9fff', 'malformed_encoding'],
    ['an indefinite byte string', '5f4101ff', 'malformed_encoding'],
    ['an indefinite map', 'bfff', 'malformed_encoding'],
    ['a key twice', 'a201010102', 'malformed_encoding'],
    ['keys out of order', 'a202010101', 'non_canonical'],
    ['a tag', 'c100', 'malformed_encoding'],
    ['self-described CBOR', 'd9d9f700', 'malformed_encoding'],
    ['minus zero', 'f98000', 'non_canonical'],
    ['a whole number as float', 'f93c00', 'non_canonical'],
    ['null', 'f6', 'wrong_type'],
    ['a fraction', 'f93e00', 'wrong_type'],
    ['a map key that is no integer', 'a1f501', 'wrong_type'],
    ['a map as map key', 'a1a001', 'wrong_type'],
    ['infinity', 'f97c00', 'malformed_encoding'],
    ['not a number', 'f97e00', 'malformed_encoding'],
    ['undefined', 'f7', 'malformed_encoding'],
    ['an integer past 2^53', '1b0020000000000000', 'malformed_encoding'],
    ['text that is not UTF-8', '61ff', 'non_canonical'],
    ['a length past the end', '5affffffff00', 'malformed_encoding'],
    ['an array longer than the input', '9affffffff00', 'malformed_encoding'],
    ['nothing', '', 'malformed_encoding'],
    ['two items', '0000', 'malformed_encoding'],
  ])('refuses %s', (_, input, code) => {
    expect(refusal(hex(input))).toBe(code);
  });

  it('gives plain Uint8Arrays, whose slices are copies, at every length', () => {
    for (let length = 0; length < 600; length += 7) {
      const encoded = encodeCbor(new Uint8Array(length));
      expect(Object.getPrototypeOf(encoded)).toBe(Uint8Array.prototype);
      const decoded = decodeCbor(encoded);
      expect(Object.getPrototypeOf(decoded)).toBe(Uint8Array.prototype);
    }
  });

  it('refuses deep nesting without running out of stack', () => {
    expect(refusal(new Uint8Array(100_000).fill(0x81))).toBe('malformed_encoding');
    const nine = new Uint8Array(10).fill(0x81);
    nine[9] = 0;
    expect(refusal(nine)).toBe('invalid_field');
    expect(refusal(nine.subarray(1))).toBe('accepted');
  });

  it('refuses objects of more than 1 MiB before it looks at them', () => {
    expect(refusal(new Uint8Array(MAX_OBJECT_BYTES + 1))).toBe('too_large');
  });

  it('reads each kind of field and names the field, never its value', () => {
    const reader = (value: number | string | boolean | Uint8Array) =>
      new FieldReader(decodeCbor(encodeCbor(new Map([[1, value]]))), 'thing');
    expect(reader(7).uint(1)).toBe(7);
    expect(() => reader(7).uint(1, 0, 6)).toThrow('thing, field 1: out of range');
    expect(() => reader(-1).uint(1)).toThrow('out of range');
    expect(() => reader('1').uint(1)).toThrow('not an integer');
    expect(() => reader('secret words').text(1, 3)).toThrow(/^thing, field 1: longer than 3$/);
    expect(() => reader(Uint8Array.of(1, 2)).bytes(1, 3)).toThrow('not 3 bytes');
    expect(() => reader(1).bool(1)).toThrow('not true or false');
    expect(() => reader(1).array(1, 1)).toThrow('not an array');
    expect(() => reader(1).uint(2)).toThrow('field 2: missing');
  });
});
