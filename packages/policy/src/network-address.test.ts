import fc from 'fast-check';
import { expect, it } from 'vitest';
import { networkAddress } from './network-address.ts';

it('tells an IPv4 client of a dual-stack socket as IPv4', () => {
  for (const text of [
    '::ffff:10.1.2.3',
    '::FFFF:10.1.2.3',
    '::ffff:a01:203',
    '0:0:0:0:0:ffff:0a01:0203',
    '::ffff:10.1.2.3%lo',
  ]) {
    expect([text, networkAddress(text)]).toEqual([text, '10.1.2.3']);
  }
});

it('leaves other addresses as they are, but for the zone', () => {
  expect(networkAddress('fe80::1%eth0')).toBe('fe80::1');
  expect(networkAddress('::1')).toBe('::1');
  expect(networkAddress('2001:db8::ffff:10')).toBe('2001:db8::ffff:10');
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      expect(networkAddress(text)).toBe(text);
      expect(networkAddress(`::ffff:${text}`)).toBe(text);
    }),
  );
});

it('takes no range for an address', () => {
  expect(() => networkAddress('0.0.0.0/0')).toThrow(TypeError);
  expect(() => networkAddress('::ffff:10.0.0.0/104')).toThrow(TypeError);
});
