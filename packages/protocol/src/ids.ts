/**
 * Branded identifiers and key material, so that one can't stand where another belongs.
 * Text forms are what HTTP and the CLI use; byte forms are what CBOR carries.
 */
import { fromBase64Url, toBase64Url } from './bytes.ts';
import { ProtocolError } from './errors.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** UUID, lower case. */
export type TenantId = Brand<string, 'TenantId'>;
/** UUID, lower case. */
export type PersonId = Brand<string, 'PersonId'>;
/** UUID, lower case. */
export type CapsuleId = Brand<string, 'CapsuleId'>;
/** 16 random bytes as base64url (22 characters). */
export type ArtifactId = Brand<string, 'ArtifactId'>;
/** SHA-256 thumbprint of a public key as base64url (43 characters); see {@link keyId} in keys.ts. */
export type KeyId = Brand<string, 'KeyId'>;
/** A normalised e-mail address, or the reserved word `organisation`. */
export type Address = Brand<string, 'Address'>;

/** 32 random bytes: the symmetric key of one artifact. Never leaves the sealer, a recipient or a CVS worker. */
export type Dek = Brand<Uint8Array, 'Dek'>;
/** Public commitment to a DEK (32 bytes). */
export type DekCommitment = Brand<Uint8Array, 'DekCommitment'>;
/** SHA-256 of an envelope's preamble and header (32 bytes). */
export type HeaderHash = Brand<Uint8Array, 'HeaderHash'>;
/** Serialised KEM public key of the suite that stands beside it. */
export type KemPublicKey = Brand<Uint8Array, 'KemPublicKey'>;
/** Serialised KEM private key of the suite that stands beside it. */
export type KemPrivateKey = Brand<Uint8Array, 'KemPrivateKey'>;
/** Ed25519 public key (32 bytes, RFC 8032). */
export type SigningPublicKey = Brand<Uint8Array, 'SigningPublicKey'>;
/** Ed25519 seed (32 bytes, RFC 8032). */
export type SigningPrivateKey = Brand<Uint8Array, 'SigningPrivateKey'>;
/** CBOR bytes of a wrap: a DEK sealed to one recipient key. */
export type WrapBytes = Brand<Uint8Array, 'WrapBytes'>;
/** COSE_Sign1 bytes whose payload is of the named kind. */
export type Signed<Kind extends string> = Brand<Uint8Array, Kind>;

/** The recipient that stands for the organisation's own key (recovery), where the organisation turned it on. */
export const ORGANISATION = 'organisation' as Address;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function parseUuid(text: string, what: string): string {
  if (!UUID.test(text)) throw new ProtocolError('invalid_field', `${what} is not a lower-case UUID`);
  return text;
}

export const parseTenantId = (text: string): TenantId => parseUuid(text, 'tenant id') as TenantId;
export const parsePersonId = (text: string): PersonId => parseUuid(text, 'person id') as PersonId;
export const parseCapsuleId = (text: string): CapsuleId => parseUuid(text, 'capsule id') as CapsuleId;

function parseFixed(text: string, length: number, what: string): string {
  if (fromBase64Url(text).length !== length) {
    throw new ProtocolError('invalid_length', `${what} is not ${length} bytes of base64url`);
  }
  return text;
}

export const parseArtifactId = (text: string): ArtifactId =>
  parseFixed(text, 16, 'artifact id') as ArtifactId;
export const parseKeyId = (text: string): KeyId => parseFixed(text, 32, 'key id') as KeyId;

// RFC 5321 limits; the local part as HTML's e-mail input allows it, quoted local parts refused on purpose.
const ADDRESS =
  /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/;

/**
 * Normalises (trims, lower-cases) and checks an address. Internationalised domains are given in their
 * A-label form. `organisation` is let through as the reserved recipient.
 */
export function parseAddress(text: string): Address {
  const address = text.trim().toLowerCase();
  if (address === ORGANISATION) return ORGANISATION;
  if (address.length > 254 || !ADDRESS.test(address)) {
    throw new ProtocolError('invalid_field', 'not a mail address such as bob@example.org');
  }
  return address as Address;
}

/** The domain of an address: all after its `@`. */
export const domainOf = (address: Address): string => address.slice(address.lastIndexOf('@') + 1);

/** A UUID's 16 bytes. */
export function uuidBytes(id: TenantId | PersonId | CapsuleId): Uint8Array {
  return Uint8Array.from(id.replaceAll('-', '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The UUID text of 16 bytes. */
export function uuidText(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new ProtocolError('invalid_length', 'a UUID has 16 bytes');
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [8, 12, 16, 20, 32].map((end, i, ends) => text.slice(ends[i - 1] ?? 0, end)).join('-');
}

export const artifactIdText = (bytes: Uint8Array): ArtifactId => parseArtifactId(toBase64Url(bytes));
export const keyIdText = (bytes: Uint8Array): KeyId => parseKeyId(toBase64Url(bytes));
