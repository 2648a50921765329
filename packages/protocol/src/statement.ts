/**
 * The sealer's statement: everything about an artifact that never changes. The sealer signs it
 * (`astis/statement`), ASTIS keeps it beside the wraps, and each recipient and each CVS checks it again.
 * Current TTL, revocation and policy are records of the store beside it; none of them can pass `notAfter`.
 */
import { fromBase64Url } from './bytes.ts';
import type { Cbor } from './cbor.ts';
import { decodeCbor, encodeCbor, FieldReader } from './cbor.ts';
import { canonicalAddress, compareText } from './envelope.ts';
import { ProtocolError } from './errors.ts';
import type { Address, ArtifactId, DekCommitment, HeaderHash, KeyId, TenantId } from './ids.ts';
import { artifactIdText, keyIdText, parseTenantId, uuidBytes, uuidText } from './ids.ts';

export const MAX_RECIPIENTS = 1000;
export const MAX_LABELS = 32;
export const MAX_LABEL_LENGTH = 64;

export interface StatementRecipient {
  readonly address: Address;
  /** The key that the DEK was first wrapped to: the recipient's own, or a holding key. */
  readonly keyId: KeyId;
}

export interface Statement {
  readonly artifactId: ArtifactId;
  readonly headerHash: HeaderHash;
  readonly commitment: DekCommitment;
  readonly tenantId: TenantId;
  readonly sealer: Address;
  /** Seconds since 1970 by the sealer's clock. */
  readonly sealedAt: number;
  /** TTL ceiling, seconds since 1970. Only a new statement of the sealer's goes past it. */
  readonly notAfter: number;
  /** In order of address, then key id; no address twice. */
  readonly recipients: readonly StatementRecipient[];
  /** In order; none twice. */
  readonly labels: readonly string[];
}

const recipientOrder = (a: StatementRecipient, b: StatementRecipient): number =>
  compareText(a.address, b.address);

/** Puts recipients and labels into canonical order. Refuses a recipient or label given twice. */
export function canonicalStatement(statement: Statement): Statement {
  const recipients = [...statement.recipients].sort(recipientOrder);
  const labels = [...statement.labels].sort(compareText);
  const canonical = { ...statement, recipients, labels };
  checkStatement(canonical);
  return canonical;
}

function strictlyAscending<T>(items: readonly T[], order: (a: T, b: T) => number): boolean {
  return items.every((item, i) => {
    const before = items[i - 1];
    return i === 0 || (before !== undefined && order(before, item) < 0);
  });
}

function checkStatement({ recipients, labels, sealedAt, notAfter }: Statement): void {
  if (recipients.length === 0) throw new ProtocolError('missing_field', 'statement: no recipient');
  if (recipients.length > MAX_RECIPIENTS)
    throw new ProtocolError('too_large', 'statement: too many recipients');
  if (new Set(recipients.map((recipient) => recipient.address)).size !== recipients.length) {
    throw new ProtocolError('duplicate_recipient', 'statement: an address stands twice');
  }
  if (!strictlyAscending(recipients, recipientOrder)) {
    throw new ProtocolError('non_canonical', 'statement: recipients out of order');
  }
  if (labels.length > MAX_LABELS) throw new ProtocolError('too_large', 'statement: too many labels');
  if (
    labels.some(
      (label) => !/^[\p{L}\p{N}][\p{L}\p{N} ._:/-]*$/u.test(label) || label.length > MAX_LABEL_LENGTH,
    )
  ) {
    throw new ProtocolError(
      'invalid_field',
      'statement: a label has letters, digits, " ._:/-" and at most 64 characters',
    );
  }
  if (!strictlyAscending(labels, compareText)) {
    throw new ProtocolError('non_canonical', 'statement: labels out of order, or one twice');
  }
  if (notAfter <= sealedAt)
    throw new ProtocolError('invalid_field', 'statement: expires before it was sealed');
}

/** The CBOR payload of an `astis/statement`. */
export function encodeStatement(statement: Statement): Uint8Array {
  checkStatement(statement);
  return encodeCbor(
    new Map<number, Cbor>([
      [1, fromBase64Url(statement.artifactId)],
      [2, statement.headerHash],
      [3, statement.commitment],
      [4, uuidBytes(statement.tenantId)],
      [5, statement.sealer],
      [6, statement.sealedAt],
      [7, statement.notAfter],
      [8, statement.recipients.map(({ address, keyId }) => [address, fromBase64Url(keyId)])],
      [9, statement.labels],
    ]),
  );
}

function decodeRecipient(value: unknown): StatementRecipient {
  if (!Array.isArray(value) || value.length !== 2)
    throw new ProtocolError('wrong_type', 'statement: recipient');
  const [address, keyId]: unknown[] = value;
  if (typeof address !== 'string' || !(keyId instanceof Uint8Array)) {
    throw new ProtocolError('wrong_type', 'statement: recipient');
  }
  return { address: canonicalAddress(address), keyId: keyIdText(keyId) };
}

function decodeLabel(value: unknown): string {
  if (typeof value !== 'string') throw new ProtocolError('wrong_type', 'statement: label');
  return value;
}

export function decodeStatement(payload: Uint8Array): Statement {
  const fields = new FieldReader(decodeCbor(payload), 'statement');
  const statement: Statement = {
    artifactId: artifactIdText(fields.bytes(1, 16)),
    headerHash: fields.bytes(2, 32) as HeaderHash,
    commitment: fields.bytes(3, 32) as DekCommitment,
    tenantId: parseTenantId(uuidText(fields.bytes(4, 16))),
    sealer: canonicalAddress(fields.text(5, 254)),
    sealedAt: fields.uint(6),
    notAfter: fields.uint(7),
    recipients: fields.array(8, MAX_RECIPIENTS).map(decodeRecipient),
    labels: fields.array(9, MAX_LABELS).map(decodeLabel),
  };
  fields.end();
  checkStatement(statement);
  return statement;
}
