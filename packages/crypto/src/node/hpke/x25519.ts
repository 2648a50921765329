/** X25519 (RFC 7748) keys of node:crypto, shared by DHKEM and X-Wing. */
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import type { Component } from './key.ts';
import { derOf } from './key.ts';

// RFC 8410: the raw 32 bytes follow.
const PKCS8 = Uint8Array.of(
  0x30,
  0x2e,
  0x02,
  0x01,
  0x00,
  0x30,
  0x05,
  0x06,
  0x03,
  0x2b,
  0x65,
  0x6e,
  0x04,
  0x22,
  0x04,
  0x20,
);
const SPKI = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00);

const rawPublic = (publicKey: Component['publicKey']): Uint8Array =>
  new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length));

export const rawX25519Private = (privateKey: NonNullable<Component['privateKey']>): Uint8Array =>
  new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length));

export function x25519FromPublic(raw: Uint8Array): Component {
  const publicKey = createPublicKey({ key: derOf(SPKI, raw), format: 'der', type: 'spki' });
  return { privateKey: undefined, publicKey, publicBytes: raw.slice() };
}

export function x25519FromPrivate(raw: Uint8Array): Component {
  const der = derOf(PKCS8, raw);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, publicBytes: rawPublic(publicKey) };
}

export function newX25519(): Component {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  return { privateKey, publicKey, publicBytes: rawPublic(publicKey) };
}

/** OpenSSL refuses the all-zero result that RFC 9180 §7.1.4 says must be refused. */
export function dh(own: Component, other: Component): Uint8Array {
  if (own.privateKey === undefined) throw new TypeError('a private key is needed');
  return new Uint8Array(diffieHellman({ privateKey: own.privateKey, publicKey: other.publicKey }));
}
