/**
 * COSE_Sign1 (RFC 9052 §4.2), restricted to what the protocol uses: Ed25519, one signer, an attached payload,
 * and a protected header of exactly algorithm (1), key id (4) and type (16, RFC 9596), which separates domains.
 * This module only frames; making and checking signatures is packages/crypto's.
 */

import { fromBase64Url } from './bytes.ts';
import { decodeCbor, encodeCbor, FieldReader } from './cbor.ts';
import { ProtocolError } from './errors.ts';
import type { KeyId, Signed } from './ids.ts';
import { keyIdText } from './ids.ts';
import { COSE_ED25519 } from './suites.ts';

/** What a signature is about: the value of COSE header 16 of each signed object. */
export type SignedType =
  | 'astis/payload'
  | 'astis/statement'
  | 'astis/rewrap-link'
  | 'astis/key-certificate'
  | 'astis/key-registration'
  | 'astis/enrolment'
  | 'astis/enrolment-grant'
  | 'astis/key-revocation'
  | 'astis/tenant-order'
  | 'astis/custody-order';

export interface Sign1 {
  readonly type: SignedType;
  readonly keyId: KeyId;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

function protectedHeader(type: SignedType, keyId: KeyId): Uint8Array {
  return encodeCbor(
    new Map<number, string | number | Uint8Array>([
      [1, COSE_ED25519],
      [4, fromBase64Url(keyId)],
      [16, type],
    ]),
  );
}

/** The Sig_structure: the bytes that are signed (RFC 9052 §4.4); external_aad is empty. */
export function toBeSigned(type: SignedType, keyId: KeyId, payload: Uint8Array): Uint8Array {
  return encodeCbor(['Signature1', protectedHeader(type, keyId), new Uint8Array(0), payload]);
}

export function encodeSign1<T extends SignedType>(sign1: Sign1 & { readonly type: T }): Signed<T> {
  const { type, keyId, payload, signature } = sign1;
  return encodeCbor([
    protectedHeader(type, keyId),
    new Map<number, never>(),
    payload,
    signature,
  ]) as Signed<T>;
}

/** Decodes the frame of an object of the expected type. The signature is NOT checked here. */
export function decodeSign1<T extends SignedType>(bytes: Uint8Array, type: T): Sign1 & { readonly type: T } {
  const value = decodeCbor(bytes);
  if (!Array.isArray(value) || value.length !== 4) throw new ProtocolError('wrong_type', 'not a COSE_Sign1');
  const [header, unprotected, payload, signature]: unknown[] = value;
  if (!(header instanceof Uint8Array && payload instanceof Uint8Array && signature instanceof Uint8Array)) {
    throw new ProtocolError('wrong_type', 'COSE_Sign1: a part is not a byte string');
  }
  if (!(unprotected instanceof Map) || unprotected.size !== 0) {
    throw new ProtocolError('unknown_field', 'COSE_Sign1: unprotected header is not empty');
  }
  if (signature.length !== 64)
    throw new ProtocolError('invalid_length', 'COSE_Sign1: signature is not 64 bytes');
  const fields = new FieldReader(decodeCbor(header), 'COSE_Sign1 header');
  if (fields.uint(1, Number.MIN_SAFE_INTEGER) !== COSE_ED25519) {
    throw new ProtocolError('unknown_algorithm', 'COSE_Sign1: unknown algorithm');
  }
  const keyId = keyIdText(fields.bytes(4, 32));
  if (fields.text(16, 64) !== type) throw new ProtocolError('wrong_type', `COSE_Sign1: not of type ${type}`);
  fields.end();
  return { type, keyId, payload, signature };
}
