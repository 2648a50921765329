/**
 * The rewrap link: the CVS's signed record that one wrap replaced another (`astis/rewrap-link`). A recipient
 * walks the links from the key that the sealer's statement names to the key that the wrap is sealed to now.
 */
import { fromBase64Url } from './bytes.ts';
import { decodeCbor, encodeCbor, FieldReader } from './cbor.ts';
import { canonicalAddress } from './envelope.ts';
import type { Address, ArtifactId, KeyId, TenantId } from './ids.ts';
import { artifactIdText, keyIdText, parseTenantId, uuidBytes, uuidText } from './ids.ts';

export interface RewrapLink {
  readonly tenantId: TenantId;
  readonly artifactId: ArtifactId;
  readonly from: { readonly address: Address; readonly keyId: KeyId; readonly wrapHash: Uint8Array };
  readonly to: { readonly address: Address; readonly keyId: KeyId; readonly wrapHash: Uint8Array };
  /** Seconds since 1970 by the CVS's clock. */
  readonly at: number;
}

export const encodeLink = (link: RewrapLink): Uint8Array =>
  encodeCbor(
    new Map<number, number | string | Uint8Array>([
      [1, uuidBytes(link.tenantId)],
      [2, fromBase64Url(link.artifactId)],
      [3, link.from.address],
      [4, fromBase64Url(link.from.keyId)],
      [5, link.from.wrapHash],
      [6, link.to.address],
      [7, fromBase64Url(link.to.keyId)],
      [8, link.to.wrapHash],
      [9, link.at],
    ]),
  );

export function decodeLink(payload: Uint8Array): RewrapLink {
  const fields = new FieldReader(decodeCbor(payload), 'rewrap link');
  const link: RewrapLink = {
    tenantId: parseTenantId(uuidText(fields.bytes(1, 16))),
    artifactId: artifactIdText(fields.bytes(2, 16)),
    from: {
      address: canonicalAddress(fields.text(3, 254)),
      keyId: keyIdText(fields.bytes(4, 32)),
      wrapHash: fields.bytes(5, 32),
    },
    to: {
      address: canonicalAddress(fields.text(6, 254)),
      keyId: keyIdText(fields.bytes(7, 32)),
      wrapHash: fields.bytes(8, 32),
    },
    at: fields.uint(9),
  };
  fields.end();
  return link;
}
