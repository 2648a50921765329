/** The plaintext of the test vectors: byte i is (7 i + floor(i / 256)) mod 256. */
export const patternBytes = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (7 * i + (i >>> 8)) & 255);
