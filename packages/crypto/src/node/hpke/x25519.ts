/** X25519 (RFC 7748) keys of node:crypto, shared by DHKEM and X-Wing. */
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { derOf, X25519_DER } from '../der.ts';
import type { Component } from './key.ts';

const rawPublic = (publicKey: Component['publicKey']): Uint8Array =>
  new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(X25519_DER.spki.length));

export const rawX25519Private = (privateKey: NonNullable<Component['privateKey']>): Uint8Array =>
  new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(X25519_DER.pkcs8.length));

export function x25519FromPublic(raw: Uint8Array): Component {
  const publicKey = createPublicKey({ key: derOf(X25519_DER.spki, raw), format: 'der', type: 'spki' });
  return { privateKey: undefined, publicKey, publicBytes: raw.slice() };
}

export function x25519FromPrivate(raw: Uint8Array): Component {
  const der = derOf(X25519_DER.pkcs8, raw);
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
