/**
 * X-Wing (draft-connolly-cfrg-xwing-kem, HPKE KEM 0x647a): ML-KEM-768 (FIPS 203) and X25519 of node:crypto,
 * joined by SHA3-256. The private key is the 32-byte seed of both.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  decapsulate,
  encapsulate,
  hash,
  randomBytes,
} from 'node:crypto';
import type { KEM } from 'hpke';
import { concat, encode, I2OSP, LabeledDerive } from 'hpke';
import { derOf } from '../der.ts';
import type { Component } from './key.ts';
import { keyPair, NodeKey } from './key.ts';
import { dh, newX25519, x25519FromPrivate, x25519FromPublic } from './x25519.ts';

export interface XWingParts {
  readonly pq: Component;
  readonly t: Component;
}

const KEM_ID = 0x647a;
const SUITE_ID = concat(encode('KEM'), I2OSP(KEM_ID, 2));
const SEED_BYTES = 32;
const PQ_PUBLIC_BYTES = 1184;
const PQ_CIPHERTEXT_BYTES = 1088;
const PQ_SEED_BYTES = 64;
// RFC 9935: the seed form of an ML-KEM-768 private key, and its public key; the raw bytes follow.
const PKCS8 = Uint8Array.of(
  ...[0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04],
  ...[0x04, 0x02, 0x04, 0x42, 0x80, 0x40],
);
const SPKI = Uint8Array.of(
  ...[0x30, 0x82, 0x04, 0xb2, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04],
  ...[0x02, 0x03, 0x82, 0x04, 0xa1, 0x00],
);
/** The draft's label, which draws an X-wing: \./ over /^\. */
const LABEL = Uint8Array.of(0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c);

const shake256 = (input: Uint8Array, length: number): Buffer =>
  createHash('shake256', { outputLength: length }).update(input).digest();
const SHAKE256 = { Derive: async (ikm: Uint8Array, length: number) => new Uint8Array(shake256(ikm, length)) };

function pqFromPublic(raw: Uint8Array): Component {
  const publicKey = createPublicKey({ key: derOf(SPKI, raw), format: 'der', type: 'spki' });
  return { privateKey: undefined, publicKey, publicBytes: raw.slice() };
}

function pqFromSeed(seed: Uint8Array): Component {
  const der = derOf(PKCS8, seed);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const publicKey = createPublicKey(privateKey);
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return { privateKey, publicKey, publicBytes: new Uint8Array(spki.subarray(SPKI.length)) };
}

/** expandDecapsulationKey of the draft. */
export function xwingFromSeed(seed: Uint8Array): XWingParts {
  const expanded = createHash('shake256', { outputLength: PQ_SEED_BYTES + 32 })
    .update(seed)
    .digest();
  const parts = {
    pq: pqFromSeed(expanded.subarray(0, PQ_SEED_BYTES)),
    t: x25519FromPrivate(expanded.subarray(PQ_SEED_BYTES)),
  };
  expanded.fill(0);
  return parts;
}

export const xwingPublicBytes = ({ pq, t }: XWingParts): Uint8Array => concat(pq.publicBytes, t.publicBytes);

/** Combiner: SHA3-256(ss_M, ss_X, ct_X, pk_X, label). */
function combine(pqSecret: Uint8Array, tSecret: Uint8Array, tEnc: Uint8Array, tPublic: Uint8Array) {
  const joined = concat(pqSecret, tSecret, tEnc, tPublic, LABEL);
  const secret = new Uint8Array(hash('sha3-256', joined, 'buffer'));
  for (const bytes of [pqSecret, tSecret, joined]) bytes.fill(0);
  return secret;
}

export function xwing(): KEM<NodeKey<XWingParts>> {
  const name = 'MLKEM768-X25519';
  const pairOf = (seed: Uint8Array, extractable: boolean) => {
    const parts = xwingFromSeed(seed);
    return keyPair(name, extractable, parts, seed, xwingPublicBytes(parts));
  };
  return {
    id: KEM_ID,
    type: 'KEM',
    name,
    Nsecret: 32,
    Nenc: PQ_CIPHERTEXT_BYTES + 32,
    Npk: PQ_PUBLIC_BYTES + 32,
    Nsk: SEED_BYTES,
    GenerateKeyPair: async (extractable) => pairOf(new Uint8Array(randomBytes(SEED_BYTES)), extractable),
    async DeriveKeyPair(ikm, extractable) {
      const nothing = new Uint8Array(0);
      const seed = await LabeledDerive(SHAKE256, SUITE_ID, ikm, encode('DeriveKeyPair'), nothing, SEED_BYTES);
      return pairOf(seed, extractable);
    },
    SerializePublicKey: async (key) => key.serialise(),
    SerializePrivateKey: async (key) => key.serialise(),
    async DeserializePublicKey(raw) {
      const parts = {
        pq: pqFromPublic(raw.subarray(0, PQ_PUBLIC_BYTES)),
        t: x25519FromPublic(raw.subarray(PQ_PUBLIC_BYTES)),
      };
      return new NodeKey(name, 'public', true, parts, raw);
    },
    DeserializePrivateKey: async (raw, extractable) =>
      new NodeKey(name, 'private', extractable, xwingFromSeed(raw), raw),
    async Encap(recipient) {
      const { pq, t } = recipient.parts;
      const ephemeral = newX25519();
      const { sharedKey, ciphertext } = encapsulate(pq.publicKey);
      return {
        enc: concat(new Uint8Array(ciphertext), ephemeral.publicBytes),
        shared_secret: combine(sharedKey, dh(ephemeral, t), ephemeral.publicBytes, t.publicBytes),
      };
    },
    async Decap(enc, recipient) {
      const { pq, t } = recipient.parts;
      if (pq.privateKey === undefined) throw new TypeError('a private key is needed');
      const tEnc = enc.subarray(PQ_CIPHERTEXT_BYTES);
      const pqSecret = decapsulate(pq.privateKey, enc.subarray(0, PQ_CIPHERTEXT_BYTES));
      return combine(pqSecret, dh(t, x25519FromPublic(tEnc)), tEnc, t.publicBytes);
    },
  };
}
