import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as objects from './arbitraries.fixture.ts';
import { comesBack, outcome } from './expectations.fixture.ts';
import type { Cbor, KeyCertificate, SubjectKind } from './formats.ts';
import {
  decodeCbor,
  decodeCertificate,
  decodeCustodyOrder,
  decodeGrant,
  decodeRegistration,
  decodeRevocation,
  decodeTenantOrder,
  encodeCbor,
  encodeCertificate,
  encodeCustodyOrder,
  encodeGrant,
  encodeRegistration,
  encodeRevocation,
  encodeTenantOrder,
} from './formats.ts';

function change(bytes: Uint8Array, key: number, value: Cbor | undefined): Uint8Array {
  const map = decodeCbor(bytes) as Map<number, Cbor>;
  if (value === undefined) map.delete(key);
  else map.set(key, value);
  return encodeCbor(map);
}

describe('identity objects', () => {
  it('come back as they were given', () => {
    comesBack(objects.grant, encodeGrant, decodeGrant);
    comesBack(objects.registration, encodeRegistration, decodeRegistration);
    comesBack(objects.certificate, encodeCertificate, decodeCertificate);
    comesBack(objects.revocation, encodeRevocation, decodeRevocation);
    comesBack(objects.tenantOrder, encodeTenantOrder, decodeTenantOrder);
    comesBack(objects.custodyOrder, encodeCustodyOrder, decodeCustodyOrder);
  });

  it('refuse numbers that stand for nothing', () => {
    fc.assert(
      fc.property(objects.certificate, objects.grant, objects.custodyOrder, (certificate, grant, order) => {
        expect(outcome(() => decodeCertificate(change(encodeCertificate(certificate), 3, 4)))).toBe(
          'invalid_field',
        );
        expect(outcome(() => decodeCertificate(change(encodeCertificate(certificate), 4, 2)))).toBe(
          'invalid_field',
        );
        expect(outcome(() => decodeCertificate(change(encodeCertificate(certificate), 7, 1)))).toBe(
          'unknown_algorithm',
        );
        expect(outcome(() => decodeGrant(change(encodeGrant(grant), 5, 2)))).toBe('invalid_field');
        expect(outcome(() => decodeCustodyOrder(change(encodeCustodyOrder(order), 2, 3)))).toBe(
          'invalid_field',
        );
      }),
    );
  });

  it('a grant makes people and services only: nobody enrols as the organisation or as a holding key', () => {
    fc.assert(
      fc.property(objects.grant, (grant) => {
        for (const kind of [2, 3])
          expect(outcome(() => decodeGrant(change(encodeGrant(grant), 4, kind)))).toBe('invalid_field');
      }),
    );
  });

  it('holding and organisation keys sign nothing, people and services always do', () => {
    const signs = (kind: SubjectKind): boolean => kind === 'person' || kind === 'service';
    fc.assert(
      fc.property(objects.certificate, (certificate: KeyCertificate) => {
        const bytes = encodeCertificate(certificate);
        const other = signs(certificate.kind)
          ? change(bytes, 6, undefined)
          : change(bytes, 6, new Uint8Array(32));
        expect(outcome(() => decodeCertificate(other))).toBe('invalid_field');
      }),
    );
  });

  it('refuse a KEM key of another KEM', () => {
    fc.assert(
      fc.property(objects.certificate, (certificate) => {
        const bytes = encodeCertificate(certificate);
        const other = certificate.kem === 'X25519' ? 0x0010 : 0x0020;
        expect(outcome(() => decodeCertificate(change(bytes, 7, other)))).toBe('invalid_length');
      }),
    );
  });
});
