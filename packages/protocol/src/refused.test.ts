import { describe, expect, it } from 'vitest';
import refused from '../vectors/refused.json' with { type: 'json' };
import { outcome } from './expectations.fixture.ts';
import { decodeEnvelopeHeader, decodeSign1, decodeStatement, decodeWrap } from './formats.ts';

const DECODERS: Record<string, (bytes: Uint8Array) => unknown> = {
  'envelope header': decodeEnvelopeHeader,
  statement: decodeStatement,
  wrap: decodeWrap,
  'sign1 astis/statement': (bytes) => decodeSign1(bytes, 'astis/statement'),
};

describe('published inputs that must be refused', () => {
  it.each(refused.inputs)('$decoder: $why', ({ decoder, bytes, code }) => {
    const decode = DECODERS[decoder];
    if (decode === undefined) throw new Error('no such decoder');
    expect(outcome(() => decode(Uint8Array.from(Buffer.from(bytes, 'hex'))))).toBe(code);
  });
});
