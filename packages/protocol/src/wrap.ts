/**
 * A wrap: the DEK of one artifact sealed to one recipient key by HPKE (RFC 9180, base mode, HKDF-SHA256,
 * AES-256-GCM). What it is bound to stands in its AAD and nowhere in its bytes: a wrap moved to another
 * artifact, tenant, recipient or key fails to open.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { fromBase64Url, utf8 } from './bytes.ts';
import { decodeCbor, encodeCbor, FieldReader } from './cbor.ts';
import { ProtocolError } from './errors.ts';
import type { Address, ArtifactId, DekCommitment, HeaderHash, KeyId, TenantId, WrapBytes } from './ids.ts';
import { keyIdText, uuidBytes } from './ids.ts';
import type { KemName } from './suites.ts';
import { KEMS, kemById } from './suites.ts';

/** HPKE `info` of every wrap. */
export const WRAP_INFO: Uint8Array = utf8('astis/v1 wrap');

/** What a wrap is bound to. */
export interface WrapContext {
  readonly artifactId: ArtifactId;
  readonly headerHash: HeaderHash;
  readonly commitment: DekCommitment;
  readonly tenantId: TenantId;
  readonly address: Address;
  readonly keyId: KeyId;
}

/** HPKE `aad` of a wrap. */
export const wrapAad = (context: WrapContext): Uint8Array =>
  encodeCbor([
    'astis/v1 wrap',
    fromBase64Url(context.artifactId),
    context.headerHash,
    context.commitment,
    uuidBytes(context.tenantId),
    context.address,
    fromBase64Url(context.keyId),
  ]);

export interface Wrap {
  readonly kem: KemName;
  readonly keyId: KeyId;
  /** HPKE encapsulated secret. */
  readonly enc: Uint8Array;
  /** HPKE ciphertext of the DEK: 32 bytes and the tag. */
  readonly ciphertext: Uint8Array;
}

const CIPHERTEXT_BYTES = 48;

export function encodeWrap(wrap: Wrap): WrapBytes {
  return encodeCbor(
    new Map<number, number | Uint8Array>([
      [1, KEMS[wrap.kem].id],
      [2, fromBase64Url(wrap.keyId)],
      [3, wrap.enc],
      [4, wrap.ciphertext],
    ]),
  ) as WrapBytes;
}

export function decodeWrap(bytes: Uint8Array): Wrap {
  const fields = new FieldReader(decodeCbor(bytes), 'wrap');
  const kem = kemById(fields.uint(1));
  const wrap: Wrap = {
    kem,
    keyId: keyIdText(fields.bytes(2, 32)),
    enc: fields.bytes(3, KEMS[kem].encBytes),
    ciphertext: fields.bytes(4, CIPHERTEXT_BYTES),
  };
  fields.end();
  return wrap;
}

/** SHA-256 of a wrap's bytes: how a rewrap link names it. */
export const wrapHash = (bytes: WrapBytes): Uint8Array => sha256(bytes);

/** Refuses a wrap that is not to the key that it is filed under. */
export function checkWrapKey(wrap: Wrap, keyId: KeyId): void {
  if (wrap.keyId !== keyId)
    throw new ProtocolError('invalid_field', 'wrap: sealed to another key than the stated one');
}
