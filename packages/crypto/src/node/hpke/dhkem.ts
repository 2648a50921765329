/** DHKEM (RFC 9180 §4.1) with HKDF-SHA256 over node:crypto's X25519 and P-256. */
import type { KEM, KEMFactory } from 'hpke';
import {
  concat,
  encode,
  I2OSP,
  KEM_DHKEM_P256_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  LabeledExpand,
  LabeledExtract,
} from 'hpke';
import { hkdfSha256 } from './kdf.ts';
import type { Component } from './key.ts';
import { keyPair, NodeKey } from './key.ts';
import { newP256, p256FromPrivate, p256FromPublic, rawP256Private } from './p256.ts';
import { dh, newX25519, rawX25519Private, x25519FromPrivate, x25519FromPublic } from './x25519.ts';

interface Curve {
  readonly generate: () => Component;
  readonly fromPublic: (raw: Uint8Array) => Component;
  readonly fromPrivate: (raw: Uint8Array) => Component;
  readonly privateBytes: (privateKey: NonNullable<Component['privateKey']>) => Uint8Array;
  /** The package's own KEM: names, lengths, and key derivation from input keying material. */
  readonly reference: KEMFactory;
}

const EMPTY = new Uint8Array(0);
const EAE_PRK = encode('eae_prk');
const SHARED_SECRET = encode('shared_secret');

function dhkem(curve: Curve): KEM<NodeKey<Component>> {
  const reference = curve.reference();
  const { id, name, Nsecret, Nenc, Npk, Nsk } = reference;
  const kdf = hkdfSha256();
  const suiteId = concat(encode('KEM'), I2OSP(id, 2));
  const pairOf = (parts: Component, raw: Uint8Array, extractable: boolean) =>
    keyPair(name, extractable, parts, raw, parts.publicBytes);

  /** ExtractAndExpand of RFC 9180 §4.1. */
  async function sharedSecret(secret: Uint8Array, enc: Uint8Array, recipient: Uint8Array) {
    const prk = await LabeledExtract(kdf, suiteId, EMPTY, EAE_PRK, secret);
    secret.fill(0);
    return LabeledExpand(kdf, suiteId, prk, SHARED_SECRET, concat(enc, recipient), Nsecret);
  }

  return {
    id,
    type: 'KEM',
    name,
    Nsecret,
    Nenc,
    Npk,
    Nsk,
    async GenerateKeyPair(extractable) {
      const parts = curve.generate();
      if (parts.privateKey === undefined) throw new TypeError('a private key is needed');
      return pairOf(parts, curve.privateBytes(parts.privateKey), extractable);
    },
    async DeriveKeyPair(ikm, extractable) {
      const derived = await reference.DeriveKeyPair(ikm, true);
      const raw = await reference.SerializePrivateKey(derived.privateKey);
      return pairOf(curve.fromPrivate(raw), raw, extractable);
    },
    SerializePublicKey: async (key) => key.serialise(),
    SerializePrivateKey: async (key) => key.serialise(),
    DeserializePublicKey: async (raw) => new NodeKey(name, 'public', true, curve.fromPublic(raw), raw),
    DeserializePrivateKey: async (raw, extractable) =>
      new NodeKey(name, 'private', extractable, curve.fromPrivate(raw), raw),
    async Encap(recipient) {
      const ephemeral = curve.generate();
      const enc = ephemeral.publicBytes;
      const secret = dh(ephemeral, recipient.parts);
      return { enc, shared_secret: await sharedSecret(secret, enc, recipient.parts.publicBytes) };
    },
    Decap: async (enc, recipient) =>
      sharedSecret(dh(recipient.parts, curve.fromPublic(enc)), enc, recipient.parts.publicBytes),
  };
}

export const dhkemX25519 = (): KEM<NodeKey<Component>> =>
  dhkem({
    generate: newX25519,
    fromPublic: x25519FromPublic,
    fromPrivate: x25519FromPrivate,
    privateBytes: rawX25519Private,
    reference: KEM_DHKEM_X25519_HKDF_SHA256,
  });

export const dhkemP256 = (): KEM<NodeKey<Component>> =>
  dhkem({
    generate: newP256,
    fromPublic: p256FromPublic,
    fromPrivate: p256FromPrivate,
    privateBytes: rawP256Private,
    reference: KEM_DHKEM_P256_HKDF_SHA256,
  });
