/**
 * A second reader of the format, written apart from the code that seals: node:crypto, a CBOR decoder of its own, and
 * HPKE by hand from RFC 9180. It shares no line with the code that it checks, so what it can open is what the
 * document says and not only what our code does.
 */
import {
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  verify,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const vector = <T>(name: string): T =>
  JSON.parse(
    readFileSync(new URL(`../../../../protocol/vectors/${name}.json`, import.meta.url), 'utf8'),
  ) as T;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

type Item = number | string | boolean | Buffer | Item[] | Map<Item, Item>;

/** RFC 8949, the kinds that the protocol uses. Returns the item and where it ends. */
function cbor(bytes: Buffer, at = 0): readonly [Item, number] {
  const head = bytes.readUInt8(at);
  const [major, info] = [head >> 5, head & 31];
  const size = info < 24 ? 0 : 2 ** (info - 24);
  const argument = size === 0 ? info : bytes.readUIntBE(at + 1, Math.min(size, 6));
  let end = at + 1 + size;
  if (major === 0) return [argument, end];
  if (major === 1) return [-1 - argument, end];
  if (major === 2) return [bytes.subarray(end, end + argument), end + argument];
  if (major === 3) return [bytes.toString('utf8', end, end + argument), end + argument];
  if (major === 7) return [info === 21, end];
  const items: Item[] = [];
  for (let i = 0; i < argument * (major === 5 ? 2 : 1); i++) {
    const [item, next] = cbor(bytes, end);
    items.push(item);
    end = next;
  }
  if (major === 4) return [items, end];
  const map = new Map<Item, Item>();
  for (let i = 0; i < items.length; i += 2) map.set(items[i] ?? 0, items[i + 1] ?? 0);
  return [map, end];
}
const head = (major: number, argument: number): Buffer => {
  if (argument < 24) return Buffer.of((major << 5) | argument);
  if (argument < 256) return Buffer.of((major << 5) | 24, argument);
  const out = Buffer.alloc(3);
  out.writeUInt8((major << 5) | 25);
  out.writeUInt16BE(argument, 1);
  return out;
};
const bytesItem = (bytes: Uint8Array): Buffer => Buffer.concat([head(2, bytes.length), bytes]);
const textItem = (text: string): Buffer =>
  Buffer.concat([head(3, Buffer.byteLength(text)), Buffer.from(text)]);
const array = (...items: readonly Buffer[]): Buffer => Buffer.concat([head(4, items.length), ...items]);

const asBytes = (item: Item | undefined): Buffer => {
  if (!Buffer.isBuffer(item)) throw new TypeError('not bytes');
  return item;
};
const mapOf = (bytes: Buffer): Map<Item, Item> => {
  const [item] = cbor(bytes);
  if (!(item instanceof Map)) throw new TypeError('not a map');
  return item;
};

const ed25519 = (key: Buffer, message: Buffer, signature: Buffer): boolean =>
  verify(
    null,
    message,
    createPublicKey({
      key: Buffer.concat([hex('302a300506032b6570032100'), key]),
      format: 'der',
      type: 'spki',
    }),
    signature,
  );

/** Section "Signed objects": checks one and returns its payload. */
function signedObject(bytes: Buffer, type: string, key: Buffer): Buffer {
  const [items] = cbor(bytes);
  if (!Array.isArray(items)) throw new TypeError('not an array');
  const [header, , payload, signature] = items.map((item) =>
    item instanceof Map ? Buffer.alloc(0) : asBytes(item),
  );
  if (header === undefined || payload === undefined || signature === undefined) throw new TypeError('parts');
  const fields = mapOf(header);
  expect([fields.get(1), fields.get(16)]).toEqual([-19, type]);
  const keyId = sha256(array(textItem('astis/v1 signing key'), Buffer.of(0x32), bytesItem(key)));
  expect(asBytes(fields.get(4)).equals(keyId)).toBe(true);
  const toBeSigned = array(
    textItem('Signature1'),
    bytesItem(header),
    bytesItem(Buffer.alloc(0)),
    bytesItem(payload),
  );
  expect(ed25519(key, toBeSigned, signature)).toBe(true);
  return payload;
}

/** RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode, one message. */
function hpkeOpenX25519(secret: Buffer, enc: Buffer, ciphertext: Buffer, info: Buffer, aad: Buffer): Buffer {
  const privateKey = createPrivateKey({
    key: Buffer.concat([hex('302e020100300506032b656e04220420'), secret]),
    format: 'der',
    type: 'pkcs8',
  });
  const raw = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(12);
  const publicKey = createPublicKey({
    key: Buffer.concat([hex('302a300506032b656e032100'), enc]),
    format: 'der',
    type: 'spki',
  });
  const hmac = (key: Uint8Array, data: Buffer): Buffer => createHmac('sha256', key).update(data).digest();
  const extract = (suite: Buffer, salt: Uint8Array, label: string, ikm: Buffer): Buffer =>
    hmac(salt, Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(label), ikm]));
  const expand = (suite: Buffer, prk: Buffer, label: string, context: Buffer, length: number): Buffer =>
    hmac(
      prk,
      Buffer.concat([
        Buffer.of(0, length),
        Buffer.from('HPKE-v1'),
        suite,
        Buffer.from(label),
        context,
        Buffer.of(1),
      ]),
    ).subarray(0, length);
  const none = Buffer.alloc(0);
  const kem = Buffer.from('KEM\u0000\u0020');
  const hpke = Buffer.concat([Buffer.from('HPKE'), hex('002000010002')]);
  const dh = diffieHellman({ privateKey, publicKey });
  const shared = expand(
    kem,
    extract(kem, none, 'eae_prk', dh),
    'shared_secret',
    Buffer.concat([enc, raw]),
    32,
  );
  const context = Buffer.concat([
    Buffer.of(0),
    extract(hpke, none, 'psk_id_hash', none),
    extract(hpke, none, 'info_hash', info),
  ]);
  const prk = extract(hpke, shared, 'secret', none);
  const decipher = createDecipheriv(
    'aes-256-gcm',
    expand(hpke, prk, 'key', context, 32),
    expand(hpke, prk, 'base_nonce', context, 12),
  );
  decipher.setAAD(aad);
  decipher.setAuthTag(ciphertext.subarray(-16));
  return Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()]);
}

it('opens a released capsule and the envelope by the document alone', () => {
  const capsule = vector<Record<string, unknown> & { asSealed: Record<string, unknown> }>('capsule');
  const envelopes = vector<{ envelopes: readonly { plaintextBytes: number; envelope?: string }[] }>(
    'envelope',
  );
  const envelope = hex(
    envelopes.envelopes.find(({ plaintextBytes }) => plaintextBytes === 100)?.envelope ?? '',
  );
  const text = (name: string): string => String(capsule[name]);

  // Certificate, statement, wrap.
  const certificate = mapOf(
    signedObject(hex(text('sealerCertificate')), 'astis/key-certificate', hex(text('identityKey'))),
  );
  const sealerKey = asBytes(certificate.get(6));
  const statement = mapOf(signedObject(hex(text('statement')), 'astis/statement', sealerKey));
  expect([statement.get(5), certificate.get(2)]).toEqual(['alice@example.org', 'alice@example.org']);
  const wrap = mapOf(hex(String(capsule.asSealed['wrap'])));
  const [artifactId, headerHash, commitment, tenant] = [1, 2, 3, 4].map((field) =>
    asBytes(statement.get(field)),
  );
  if (
    artifactId === undefined ||
    headerHash === undefined ||
    commitment === undefined ||
    tenant === undefined
  )
    throw new TypeError('statement');
  const aad = array(
    textItem('astis/v1 wrap'),
    ...[artifactId, headerHash, commitment, tenant].map(bytesItem),
    textItem(text('address')),
    bytesItem(asBytes(wrap.get(2))),
  );
  expect(wrap.get(1)).toBe(0x20);
  const secret = hex(String(capsule.asSealed['privateKey']));
  const dek = hpkeOpenX25519(
    secret,
    asBytes(wrap.get(3)),
    asBytes(wrap.get(4)),
    Buffer.from('astis/v1 wrap'),
    aad,
  );
  expect(dek.toString('hex')).toBe(text('dek'));
  expect(Buffer.from(hkdfSync('sha256', dek, artifactId, 'astis/v1 commitment', 32)).equals(commitment)).toBe(
    true,
  );

  // Header, trailer, chunk.
  expect(envelope.toString('latin1', 0, 18)).toBe('astis-envelope/v1\n');
  const headerBytes = 22 + envelope.readUInt32BE(18);
  const header = mapOf(envelope.subarray(22, headerBytes));
  expect(sha256(envelope.subarray(0, headerBytes)).equals(headerHash)).toBe(true);
  expect(asBytes(header.get(4)).equals(sealerKey)).toBe(true);
  const signature = envelope.subarray(-64);
  const hashes = envelope.subarray(-96, -64);
  const chunk = envelope.subarray(headerBytes, -96);
  const digest = array(
    bytesItem(artifactId),
    bytesItem(headerHash),
    head(0, chunk.length - 16),
    bytesItem(sha256(hashes)),
  );
  const keyId = sha256(array(textItem('astis/v1 signing key'), Buffer.of(0x32), bytesItem(sealerKey)));
  const protectedHeader = Buffer.concat([
    head(5, 3),
    Buffer.of(1, 0x32, 4),
    bytesItem(keyId),
    Buffer.of(16),
    textItem('astis/payload'),
  ]);
  const toBeSigned = array(
    textItem('Signature1'),
    bytesItem(protectedHeader),
    bytesItem(Buffer.alloc(0)),
    bytesItem(digest),
  );
  expect(ed25519(sealerKey, toBeSigned, signature)).toBe(true);
  expect(sha256(chunk).equals(hashes)).toBe(true);
  const payloadKey = Buffer.from(hkdfSync('sha256', dek, headerHash, 'astis/v1 payload', 32));
  const decipher = createDecipheriv('aes-256-gcm', payloadKey, hex('000000000000000000000001'));
  decipher.setAuthTag(chunk.subarray(-16));
  const plaintext = Buffer.concat([decipher.update(chunk.subarray(0, -16)), decipher.final()]);
  expect([...plaintext]).toEqual(Array.from({ length: 100 }, (_, i) => (7 * i + (i >>> 8)) & 255));
});
