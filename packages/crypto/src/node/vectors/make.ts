/**
 * Writes the test vectors of docs/protocol.md into packages/protocol/vectors. All keys are fixed, so everything
 * but the HPKE encapsulations comes out the same each time; run it only when a format changes.
 */
import { writeFileSync } from 'node:fs';
import type {
  Address,
  Cbor,
  Dek,
  KemName,
  KemPrivateKey,
  KeyCertificate,
  KeyRegistration,
  RewrapLink,
  SigningPrivateKey,
  Statement,
} from '@astis/protocol/formats';
import {
  artifactIdText,
  canonicalStatement,
  concat,
  decodeCbor,
  encodeCbor,
  encodeCertificate,
  encodeCustodyOrder,
  encodeGrant,
  encodeLink,
  encodeRegistration,
  encodeRevocation,
  encodeSign1,
  encodeStatement,
  encodeTenantOrder,
  fromBase64Url,
  KEM_NAMES,
  ORGANISATION,
  parseAddress,
  parseTenantId,
  toBeSigned,
  toHex,
  uuidBytes,
  WRAP_INFO,
  wrapAad,
  wrapHash,
} from '@astis/protocol/formats';
import { rewrapDek, rootKek, sealChallenge } from '../../custody.ts';
import { payloadKeyBytes } from '../../dek.ts';
import { sealEnvelope } from '../../envelope.ts';
import { sealHeader } from '../../header.ts';
import { signCertificate, signEnrolment } from '../../identity.ts';
import { kemKeyPair, localUnwrapper } from '../../kem.ts';
import { signLink } from '../../links.ts';
import { encodePayloadDigest } from '../../payload.ts';
import { localSigner, signObject } from '../../signing.ts';
import { signStatement } from '../../statements.ts';
import { wrapDek } from '../../wraps.ts';
import { backend } from '../backend.ts';
import { patternBytes } from './pattern.ts';

const folder = new URL('../../../../protocol/vectors/', import.meta.url);
const save = (name: string, content: object): void =>
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(content, undefined, 2)}\n`);

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const seed = (value: number) => filled(32, value) as SigningPrivateKey;

const tenantId = parseTenantId('0f1e2d3c-4b5a-4678-8796-a5b4c3d2e1f0');
const alice = parseAddress('alice@example.org');
const bob = parseAddress('bob@example.org');
const artifactId = artifactIdText(patternBytes(16));
const dek = patternBytes(32) as Dek;
const identity = localSigner(seed(1));
const sealer = localSigner(seed(2));
const enrolment = localSigner(seed(3));
const KEM_SEEDS: Record<KemName, number> = { 'X-Wing': 0x11, X25519: 0x22, 'P-256': 0x33 };
const pair = (kem: KemName, offset = 0) =>
  kemKeyPair(kem, filled(32, KEM_SEEDS[kem] + offset) as KemPrivateKey);

// ---- keys
save('keys', {
  signing: [1, 2, 3].map((value) => {
    const { publicKey, keyId } = localSigner(seed(value));
    return { seed: toHex(seed(value)), publicKey: toHex(publicKey), keyId };
  }),
  kem: KEM_NAMES.map((kem) => {
    const { privateKey, publicKey, keyId } = pair(kem);
    return { kem, privateKey: toHex(privateKey), publicKey: toHex(publicKey), keyId };
  }),
});

// ---- envelopes
const header = sealHeader({ dek, artifactId, tenantId, sealer: alice, sealerKey: sealer.publicKey });
const { commitment } = header.header;
const LENGTHS = [0, 1, 100, 1_048_575, 1_048_576, 1_048_577, 2_097_152];
save('envelope', {
  about:
    'plaintext byte i is pattern(i) = (7 i + floor(i / 256)) mod 256; long envelopes are given by their SHA-256',
  dek: toHex(dek),
  artifactId,
  tenantId,
  sealer: alice,
  sealerSeed: toHex(seed(2)),
  commitment: toHex(commitment),
  header: toHex(header.bytes),
  headerHash: toHex(header.hash),
  payloadKey: toHex(payloadKeyBytes(dek, header.hash)),
  envelopes: await Promise.all(
    LENGTHS.map(async (plaintextBytes) => {
      const envelope = await sealEnvelope(patternBytes(plaintextBytes), header, dek, sealer);
      const chunks = Math.max(1, Math.ceil(plaintextBytes / 2 ** 20));
      const chunkHashes = envelope.subarray(envelope.length - 64 - 32 * chunks, envelope.length - 64);
      const digest = { artifactId, headerHash: header.hash, plaintextBytes, chunkHashes };
      return {
        plaintextBytes,
        envelopeBytes: envelope.length,
        chunkHashes: toHex(chunkHashes),
        signedPayload: toHex(encodePayloadDigest(digest)),
        signature: toHex(envelope.subarray(envelope.length - 64)),
        envelopeSha256: toHex(backend.sha256(envelope)),
        ...(plaintextBytes <= 100 ? { envelope: toHex(envelope) } : {}),
      };
    }),
  ),
});

// ---- wraps
const artifact = { artifactId, headerHash: header.hash, commitment, tenantId };
const wraps = await Promise.all(
  KEM_NAMES.map(async (kem) => {
    const { publicKey, privateKey, keyId } = pair(kem);
    const { wrap } = await wrapDek(dek, { address: bob, kem, kemKey: publicKey }, artifact);
    return {
      kem,
      privateKey: toHex(privateKey),
      address: bob,
      keyId,
      info: toHex(WRAP_INFO),
      aad: toHex(wrapAad({ ...artifact, address: bob, keyId })),
      wrap: toHex(wrap),
      wrapHash: toHex(wrapHash(wrap)),
    };
  }),
);
save('wrap', {
  dek: toHex(dek),
  artifactId,
  tenantId,
  headerHash: toHex(header.hash),
  commitment: toHex(commitment),
  wraps,
});

// ---- statement
const statement: Statement = canonicalStatement({
  ...artifact,
  sealer: alice,
  sealedAt: 1_790_000_000,
  notAfter: 1_790_007_200,
  recipients: [
    { address: ORGANISATION, keyId: pair('P-256').keyId },
    { address: bob, keyId: pair('X25519').keyId },
  ],
  labels: ['contracts', 'GDPR'],
});
const statementBytes = await signStatement(statement, sealer);
save('statement', {
  statement: {
    ...statement,
    headerHash: toHex(statement.headerHash),
    commitment: toHex(statement.commitment),
  },
  sealerSeed: toHex(seed(2)),
  payload: toHex(encodeStatement(statement)),
  toBeSigned: toHex(toBeSigned('astis/statement', sealer.keyId, encodeStatement(statement))),
  signed: toHex(statementBytes),
});

// ---- identity
const certificateOf = (address: Address, kem: KemName, serial: number): KeyCertificate => ({
  tenantId,
  address,
  kind: 'person',
  role: 'member',
  hardwareBacked: false,
  signingKey: sealer.publicKey,
  kem,
  kemKey: pair(kem).publicKey,
  issuedAt: 1_789_990_000,
  serial,
});
const person = certificateOf(alice, 'X25519', 7);
const holding: KeyCertificate = {
  ...certificateOf(bob, 'X25519', 8),
  kind: 'holding',
  signingKey: undefined,
};
const grant = {
  tenantId,
  address: bob,
  enrolmentKey: enrolment.publicKey,
  kind: 'person',
  role: 'admin',
  hardwareBacked: true,
  notAfter: 1_790_086_400,
} as const;
const registration: KeyRegistration = {
  tenantId,
  address: bob,
  signingKey: sealer.publicKey,
  kem: 'X25519',
  kemKey: pair('X25519').publicKey,
  challengeAnswer: filled(32, 0x55),
  at: 1_790_000_001,
};
const revocation = { tenantId, address: bob, serial: 8, at: 1_790_000_002 };
const tenantOrder = {
  tenantId,
  name: 'Example',
  domain: 'example.org',
  admin: alice,
  enrolmentKey: enrolment.publicKey,
  notAfter: 1_790_086_400,
};
const custodyOrder = {
  tenantId,
  action: 'holding-key',
  subject: bob,
  nonce: patternBytes(16),
  at: 1_790_000_003,
} as const;
const signed = async (type: Parameters<typeof signObject>[0], payload: Uint8Array, value: number) => ({
  type,
  signerSeed: toHex(seed(value)),
  payload: toHex(payload),
  signed: toHex(await signObject(type, payload, localSigner(seed(value)))),
});
const enrolmentBytes = await signEnrolment(registration, sealer, enrolment);
save('identity', {
  objects: [
    await signed('astis/key-certificate', encodeCertificate(person), 1),
    await signed('astis/key-certificate', encodeCertificate(holding), 1),
    await signed('astis/enrolment-grant', encodeGrant(grant), 2),
    await signed('astis/key-registration', encodeRegistration(registration), 2),
    await signed('astis/key-revocation', encodeRevocation(revocation), 2),
    await signed('astis/tenant-order', encodeTenantOrder(tenantOrder), 1),
    await signed('astis/custody-order', encodeCustodyOrder(custodyOrder), 2),
  ],
  enrolment: {
    newcomerSeed: toHex(seed(2)),
    enrolmentSeed: toHex(seed(3)),
    signed: toHex(enrolmentBytes),
  },
  challenges: await Promise.all(
    KEM_NAMES.map(async (kem) => {
      const { enc, ciphertext } = await sealChallenge(kem, pair(kem).publicKey, filled(32, 0x55));
      return {
        kem,
        privateKey: toHex(pair(kem).privateKey),
        enc: toHex(enc),
        ciphertext: toHex(ciphertext),
        answer: toHex(filled(32, 0x55)),
      };
    }),
  ),
});

// ---- a capsule that was rewrapped: holding key (X25519) to the recipient's own (X-Wing)
const first = await wrapDek(dek, { address: bob, kem: 'X25519', kemKey: pair('X25519').publicKey }, artifact);
const unwrapper = await localUnwrapper('X25519', pair('X25519').privateKey);
const target = pair('X-Wing');
const next = await rewrapDek(
  unwrapper,
  first.wrap,
  { ...artifact, address: bob, keyId: first.keyId },
  { address: bob, kem: 'X-Wing', kemKey: target.publicKey },
);
const link: RewrapLink = {
  tenantId,
  artifactId,
  from: { address: bob, keyId: first.keyId, wrapHash: wrapHash(first.wrap) },
  to: { address: bob, keyId: next.keyId, wrapHash: wrapHash(next.wrap) },
  at: 1_790_000_100,
};
save('capsule', {
  tenantId,
  identitySeed: toHex(seed(1)),
  identityKey: toHex(identity.publicKey),
  sealerCertificate: toHex(await signCertificate(person, identity)),
  statement: toHex(statementBytes),
  address: bob,
  dek: toHex(dek),
  asSealed: {
    kem: 'X25519',
    privateKey: toHex(pair('X25519').privateKey),
    wrap: toHex(first.wrap),
    links: [],
  },
  rewrapped: {
    kem: 'X-Wing',
    privateKey: toHex(target.privateKey),
    wrap: toHex(next.wrap),
    links: [toHex(await signLink(link, identity))],
    linkPayload: toHex(encodeLink(link)),
  },
});

// ---- private keys at rest
const kek = filled(32, 0x77);
const sealedKey = await (await rootKek(kek)).sealKey(target.privateKey, {
  tenantId,
  keyId: target.keyId,
  purpose: 'organisation',
});
save('sealed-key', {
  rootKek: toHex(kek),
  tenantId,
  keyId: target.keyId,
  purpose: 'organisation',
  aad: toHex(
    encodeCbor(['astis/v1 sealed key', uuidBytes(tenantId), fromBase64Url(target.keyId), 'organisation']),
  ),
  sealed: toHex(sealedKey),
  privateKey: toHex(target.privateKey),
});

// ---- what must be refused
const mapOf = (bytes: Uint8Array): Map<number, Cbor> => decodeCbor(bytes) as Map<number, Cbor>;
function changed(change: (map: Map<number, Cbor>) => void, bytes = encodeStatement(statement)): Uint8Array {
  const map = mapOf(bytes);
  change(map);
  return encodeCbor(map);
}
const bobKey = fromBase64Url(pair('X25519').keyId);
const wrapBytes = first.wrap;
const headerBody = header.bytes.subarray(22);
const relength = (length: number): Uint8Array => {
  const out = Uint8Array.from(header.bytes);
  new DataView(out.buffer).setUint32(18, length);
  return out;
};
const refused = (decoder: string, why: string, code: string, bytes: Uint8Array) => ({
  decoder,
  why,
  code,
  bytes: toHex(bytes),
});
const sign1 = {
  type: 'astis/statement',
  keyId: sealer.keyId,
  payload: encodeStatement(statement),
  signature: filled(64, 0),
} as const;
save('refused', {
  about: 'each input must be refused; the code is the one of docs/protocol.md',
  inputs: [
    refused(
      'envelope header',
      'another version',
      'unknown_version',
      concat(Buffer.from('astis-envelope/v2\n'), header.bytes.subarray(18)),
    ),
    refused(
      'envelope header',
      'header length one too long',
      'invalid_length',
      relength(headerBody.length + 1),
    ),
    refused(
      'envelope header',
      'header length one too short',
      'trailing_bytes',
      relength(headerBody.length - 1),
    ),
    refused('envelope header', 'header length of 4 GiB', 'invalid_length', relength(0xffff_ffff)),
    refused('envelope header', 'trailing byte', 'trailing_bytes', concat(header.bytes, Uint8Array.of(0))),
    refused('envelope header', 'cut off', 'invalid_length', header.bytes.subarray(0, 60)),
    refused(
      'statement',
      'unknown field',
      'unknown_field',
      changed((map) => map.set(10, 0)),
    ),
    refused(
      'statement',
      'no labels',
      'missing_field',
      changed((map) => map.delete(9)),
    ),
    refused(
      'statement',
      'a recipient twice',
      'duplicate_recipient',
      changed((map) =>
        map.set(8, [
          [bob, bobKey],
          [bob, bobKey],
        ]),
      ),
    ),
    refused(
      'statement',
      'recipients out of order',
      'non_canonical',
      changed((map) =>
        map.set(8, [
          [bob, bobKey],
          [alice, bobKey],
        ]),
      ),
    ),
    refused(
      'statement',
      'no recipient',
      'missing_field',
      changed((map) => map.set(8, [])),
    ),
    refused(
      'statement',
      'a label twice',
      'non_canonical',
      changed((map) => map.set(9, ['a', 'a'])),
    ),
    refused(
      'statement',
      'address in capitals',
      'non_canonical',
      changed((map) => map.set(5, 'Alice@example.org')),
    ),
    refused(
      'statement',
      'ends when it was sealed',
      'invalid_field',
      changed((map) => map.set(7, statement.sealedAt)),
    ),
    refused(
      'statement',
      'negative time',
      'invalid_field',
      changed((map) => map.set(6, -1)),
    ),
    refused(
      'statement',
      'trailing byte',
      'malformed_encoding',
      concat(encodeStatement(statement), Uint8Array.of(0)),
    ),
    refused(
      'statement',
      'indefinite-length map',
      'malformed_encoding',
      concat(Uint8Array.of(0xbf), encodeStatement(statement).subarray(1), Uint8Array.of(0xff)),
    ),
    refused('statement', 'map keys out of order', 'non_canonical', Buffer.from('a202000100', 'hex')),
    refused('statement', 'a map key twice', 'malformed_encoding', Buffer.from('a201000100', 'hex')),
    refused(
      'statement',
      'an integer longer than needed',
      'malformed_encoding',
      Buffer.from('a1180100', 'hex'),
    ),
    refused('statement', 'a tagged value', 'malformed_encoding', Buffer.from('a101c100', 'hex')),
    refused('statement', 'a float', 'wrong_type', Buffer.from('a101f93e00', 'hex')),
    refused(
      'wrap',
      'unknown KEM',
      'unknown_algorithm',
      changed((map) => map.set(1, 0x30), wrapBytes),
    ),
    refused(
      'wrap',
      'enc of another KEM',
      'invalid_length',
      changed((map) => map.set(1, 0x10), wrapBytes),
    ),
    refused(
      'sign1 astis/statement',
      'another type',
      'wrong_type',
      encodeSign1({ ...sign1, type: 'astis/rewrap-link' }),
    ),
    refused(
      'sign1 astis/statement',
      'unprotected header not empty',
      'unknown_field',
      encodeCbor([
        (decodeCbor(statementBytes) as Uint8Array[])[0] ?? filled(0, 0),
        new Map([[4, 0]]),
        filled(1, 0),
        filled(64, 0),
      ]),
    ),
    refused(
      'sign1 astis/statement',
      'signature of 63 bytes',
      'invalid_length',
      encodeSign1({ ...sign1, signature: filled(63, 0) }),
    ),
  ],
});
