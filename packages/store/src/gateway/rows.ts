/** Turning what PostgreSQL gives into the protocol's types. Rows were checked when they came in. */
import type { Address, ArtifactId, KeyId } from '@astis/protocol';
import { artifactIdText, fromBase64Url, keyIdText } from '@astis/protocol';

export const bytes = (buffer: Buffer): Uint8Array => new Uint8Array(buffer);
export const keyIdOf = (buffer: Buffer): KeyId => keyIdText(bytes(buffer));
export const artifactIdOf = (buffer: Buffer): ArtifactId => artifactIdText(bytes(buffer));
export const idBytes = (id: ArtifactId | KeyId): Uint8Array => fromBase64Url(id);
export const addressOf = (text: string): Address => text as Address;

/** A listing's page: `limit` rows, and the cursor of the next page if there is one. */
export interface Listing<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
}

/** Asks the caller to have read one row more than the limit. */
export function pageOf<Row, T>(
  rows: readonly Row[],
  limit: number,
  item: (row: Row) => T,
  cursor: (row: Row) => string,
): Listing<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(item),
    ...(rows.length > limit && last !== undefined ? { nextCursor: cursor(last) } : {}),
  };
}
