/** DER with the raw key at its end: how OpenSSL takes and gives raw keys. */
export const derOf = (prefix: Uint8Array, raw: Uint8Array): Buffer => Buffer.concat([prefix, raw]);

/** What stands before the raw 32 bytes of a key of RFC 8410; `oid` is the last byte of id-X25519 or id-Ed25519. */
function prefixes(oid: number): { readonly pkcs8: Uint8Array; readonly spki: Uint8Array } {
  const algorithm = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, oid];
  return {
    pkcs8: Uint8Array.of(0x30, 0x2e, 0x02, 0x01, 0x00, ...algorithm, 0x04, 0x22, 0x04, 0x20),
    spki: Uint8Array.of(0x30, 0x2a, ...algorithm, 0x03, 0x21, 0x00),
  };
}

export const X25519_DER = prefixes(0x6e);
export const ED25519_DER = prefixes(0x70);
