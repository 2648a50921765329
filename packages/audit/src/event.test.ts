import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from './event.ts';
import { canonicalEvent, MAX_EVENT_BYTES, MAX_EVENT_DEPTH } from './event.ts';

const invalid = expect.objectContaining({ code: 'invalid_event' });

describe('an event', () => {
  it('is serialised as RFC 8785 §3.2.3 shows', () => {
    const event = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`);
    expect(canonicalEvent(event).text).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  it('sorts names by UTF-16 code units (RFC 8785 §3.2.3)', () => {
    const names = ['\u20ac', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', '\u00f6'];
    const event = Object.fromEntries(names.map((name) => [name, 0]));
    expect(Object.keys(JSON.parse(canonicalEvent(event).text))).toEqual([
      '1',
      '\r',
      '\u0080',
      '\u00f6',
      '\u20ac',
      '\ud83d\ude00',
      '\ufb33',
    ]);
  });

  it('keeps a field called __proto__', () => {
    const text = '{"__proto__":{"a":1},"type":"x"}';
    expect(canonicalEvent(JSON.parse(text)).text).toBe(text);
  });

  it('is its own canonical form', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), (value) => {
        const event: JsonObject = JSON.parse(JSON.stringify(value));
        const { text, bytes } = canonicalEvent(event);
        expect(canonicalEvent(JSON.parse(text)).text).toBe(text);
        expect(new TextDecoder().decode(bytes)).toBe(text);
      }),
    );
  });

  it.each([
    ['a list', '[]'],
    ['null', 'null'],
    ['text', '"a"'],
    ['a lone surrogate', '{"a":"\\ud800"}'],
    ['a lone surrogate in a name', '{"\\udc00":1}'],
    ['an infinite number', '{"a":1e999}'],
    ['too deep', `{"a":${'['.repeat(MAX_EVENT_DEPTH)}${']'.repeat(MAX_EVENT_DEPTH)}}`],
    ['absurdly deep', `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
    ['too long', JSON.stringify({ a: 'x'.repeat(MAX_EVENT_BYTES) })],
    ['too long in UTF-8', JSON.stringify({ a: 'é'.repeat(MAX_EVENT_BYTES / 2) })],
  ])('is not %s', (_, json) => {
    expect(() => canonicalEvent(JSON.parse(json))).toThrow(invalid);
  });

  it('may be as deep and as long as the limits', () => {
    const depth = MAX_EVENT_DEPTH - 1;
    expect(() => canonicalEvent(JSON.parse(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`))).not.toThrow();
    expect(canonicalEvent({ a: 'x'.repeat(MAX_EVENT_BYTES - 8) }).bytes).toHaveLength(MAX_EVENT_BYTES);
  });
});
