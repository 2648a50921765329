/** Every encoder with its decoder and samples: what the property tests and the fuzzer go through. */

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import * as objects from './arbitraries.fixture.ts';
import * as formats from './formats.ts';

export interface CborFrame {
  readonly open: (bytes: Uint8Array) => Uint8Array;
  readonly close: (cbor: Uint8Array) => Uint8Array;
}

export const WHOLE: CborFrame = { open: (bytes) => bytes, close: (cbor) => cbor };
const ENVELOPE: CborFrame = {
  open: (bytes) => bytes.subarray(formats.PREAMBLE_BYTES),
  close(cbor) {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, cbor.length);
    return formats.concat(formats.MAGIC, length, cbor);
  },
};

export interface Codec {
  readonly name: string;
  /** Where its CBOR is, for mutations that keep it well-formed; undefined for text. */
  readonly cbor: CborFrame | undefined;
  /** Encoded valid objects. */
  readonly samples: Arbitrary<Uint8Array>;
  /** Decodes and encodes again. */
  readonly recode: (bytes: Uint8Array) => Uint8Array;
}

function codec<T>(
  name: string,
  values: Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): Codec {
  return {
    name,
    cbor: WHOLE,
    samples: values.map((value) => encode(value)),
    recode: (bytes) => encode(decode(bytes)),
  };
}

const signed = (type: formats.SignedType): Codec =>
  codec(
    `COSE_Sign1 ${type}`,
    objects.sign1.map((value) => ({ ...value, type })),
    formats.encodeSign1,
    (bytes) => formats.decodeSign1(bytes, type),
  );

/** Text forms, as UTF-8. */
function textCodec(name: string, values: Arbitrary<string>, parse: (text: string) => string): Codec {
  return {
    name,
    cbor: undefined,
    samples: values.map(formats.utf8),
    recode(bytes) {
      let text: string;
      try {
        text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        throw new formats.ProtocolError('malformed_encoding', 'not UTF-8');
      }
      return formats.utf8(parse(text));
    },
  };
}

/** Any CBOR that the protocol can express, beyond the shapes of its objects. */
const anyCbor: Arbitrary<formats.Cbor> = fc.letrec<{ item: formats.Cbor }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    fc.string(),
    fc.boolean(),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('item'), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(fc.integer({ min: -10, max: 100 }), tie('item')), {
        maxLength: 4,
        selector: ([key]) => key,
      })
      .map((entries) => new Map(entries)),
  ),
})).item;

export const CODECS: readonly Codec[] = [
  codec('CBOR', anyCbor, formats.encodeCbor, (bytes) => formats.decodeCbor(bytes) as formats.Cbor),
  {
    ...codec('envelope header', objects.header, formats.encodeEnvelopeHeader, formats.decodeEnvelopeHeader),
    cbor: ENVELOPE,
  },
  codec('statement', objects.statement, formats.encodeStatement, formats.decodeStatement),
  codec('wrap', objects.wrap, formats.encodeWrap, formats.decodeWrap),
  codec('rewrap link', objects.link, formats.encodeLink, formats.decodeLink),
  codec('enrolment grant', objects.grant, formats.encodeGrant, formats.decodeGrant),
  codec('key registration', objects.registration, formats.encodeRegistration, formats.decodeRegistration),
  codec('key certificate', objects.certificate, formats.encodeCertificate, formats.decodeCertificate),
  codec('key revocation', objects.revocation, formats.encodeRevocation, formats.decodeRevocation),
  codec('tenant order', objects.tenantOrder, formats.encodeTenantOrder, formats.decodeTenantOrder),
  codec('custody order', objects.custodyOrder, formats.encodeCustodyOrder, formats.decodeCustodyOrder),
  signed('astis/statement'),
  signed('astis/rewrap-link'),
  signed('astis/key-certificate'),
  textCodec('address', objects.address, formats.canonicalAddress),
  textCodec('artifact id', objects.artifactId, formats.parseArtifactId),
  textCodec('key id', objects.keyId, formats.parseKeyId),
  textCodec('UUID', objects.tenantId, formats.parseTenantId),
  textCodec('base64url', fc.uint8Array({ maxLength: 64 }).map(formats.toBase64Url), (text) =>
    formats.toBase64Url(formats.fromBase64Url(text)),
  ),
];
