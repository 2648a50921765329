import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as objects from './arbitraries.fixture.ts';
import { outcome } from './expectations.fixture.ts';
import type { KemPublicKey, SigningPublicKey, TenantId } from './formats.ts';
import {
  compareBytes,
  domainOf,
  fromBase64Url,
  KEM_NAMES,
  KEMS,
  kemKeyId,
  ORGANISATION,
  parseAddress,
  parseArtifactId,
  parseKeyId,
  parseTenantId,
  signingKeyId,
  toBase64Url,
  uuidBytes,
  uuidText,
} from './formats.ts';

describe('addresses', () => {
  it('are normalised once and for all', () => {
    fc.assert(
      fc.property(objects.address, (address) => {
        expect(parseAddress(`  ${address.toUpperCase()} `)).toBe(address);
      }),
    );
    expect(domainOf(parseAddress('Bob@Example.ORG'))).toBe('example.org');
    expect(parseAddress('Organisation')).toBe(ORGANISATION);
  });

  it.each([
    '',
    'bob',
    '@example.org',
    'bob@',
    'bob@example',
    'bob@-a.example',
    'bob@a-.example',
    'bob@a..example',
    'bob@example.org.',
    '"b b"@example.org',
    'bob@[127.0.0.1]',
    'bob@exämple.org',
    'bób@example.org',
    'bob@example.org\u0000',
    'a@b@example.org',
    'bob@example.org,eve@example.org',
    'bob@example.org\neve@example.org',
    `${'a'.repeat(65)}@example.org`,
    `a@${'b.'.repeat(130)}example`,
  ])('refuses %j', (text) => {
    expect(outcome(() => parseAddress(text))).toBe('invalid_field');
  });
});

describe('identifiers', () => {
  it('UUIDs go to bytes and back', () => {
    fc.assert(
      fc.property(fc.uuid(), (text) => {
        expect(uuidText(uuidBytes(text as TenantId))).toBe(text);
      }),
    );
    for (const text of [
      '',
      '00000000-0000-0000-0000-00000000000',
      '00000000-0000-0000-0000-00000000000G',
      '00000000000000000000000000000000',
      '00000000-0000-0000-0000-00000000000A',
    ])
      expect(outcome(() => parseTenantId(text))).toBe('invalid_field');
    expect(outcome(() => uuidText(new Uint8Array(15)))).toBe('invalid_length');
  });

  it('base64url has one form', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (value) => {
        expect(fromBase64Url(toBase64Url(value))).toEqual(value);
      }),
    );
    // Padding, the other alphabet, white space, bits beyond the last byte, an impossible length.
    for (const text of ['AA==', 'a+/_', 'AA AA', 'AA\n', 'AB', 'A'])
      expect(outcome(() => fromBase64Url(text))).toBe('malformed_encoding');
    expect(outcome(() => parseArtifactId(toBase64Url(new Uint8Array(15))))).toBe('invalid_length');
    expect(outcome(() => parseKeyId(toBase64Url(new Uint8Array(33))))).toBe('invalid_length');
  });

  it('bytes are ordered as unsigned, a prefix first', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 6 }), fc.uint8Array({ maxLength: 6 }), (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
      }),
    );
  });

  it('a key id names algorithm and key: the same bytes under another algorithm are another key', () => {
    const raw = new Uint8Array(32).fill(9);
    const ids = [
      ...KEM_NAMES.map((name) =>
        kemKeyId(name, new Uint8Array(KEMS[name].publicKeyBytes).fill(9) as KemPublicKey),
      ),
      kemKeyId('P-256', raw as KemPublicKey),
      signingKeyId(raw as SigningPublicKey),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});
