/** Reads base64url bodies, so that a bad one is told as the client's mistake with the field's name. */
import { fromBase64Url, ProblemError } from '@astis/protocol';

export function decodeBytes(text: string, field: string): Uint8Array {
  try {
    return fromBase64Url(text);
  } catch {
    throw new ProblemError('malformed_object', `${field} is not base64url without padding.`);
  }
}
