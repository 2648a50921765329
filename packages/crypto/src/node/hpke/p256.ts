/** NIST P-256 keys of node:crypto for DHKEM. Public keys are uncompressed points (65 bytes). */
import { createECDH, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { Component } from './key.ts';

const part = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.subarray(from, to)).toString('base64url');

const jwkOf = (point: Uint8Array) => ({
  kty: 'EC',
  crv: 'P-256',
  x: part(point, 1, 33),
  y: part(point, 33, 65),
});

function pointOf(publicKey: Component['publicKey']): Uint8Array {
  const { x, y } = publicKey.export({ format: 'jwk' });
  if (x === undefined || y === undefined) throw new TypeError('not an EC key');
  return new Uint8Array(
    Buffer.concat([Uint8Array.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]),
  );
}

export function p256FromPublic(point: Uint8Array): Component {
  if (point.length !== 65 || point[0] !== 4) throw new TypeError('not an uncompressed point');
  // OpenSSL checks that the point is on the curve.
  const publicKey = createPublicKey({ key: jwkOf(point), format: 'jwk' });
  return { privateKey: undefined, publicKey, publicBytes: point.slice() };
}

export function p256FromPrivate(scalar: Uint8Array): Component {
  const ecdh = createECDH('prime256v1');
  // Throws on zero and on anything from the group's order up.
  ecdh.setPrivateKey(scalar);
  const point = new Uint8Array(ecdh.getPublicKey());
  const jwk = { ...jwkOf(point), d: part(scalar, 0, 32) };
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  return { privateKey, publicKey: createPublicKey(privateKey), publicBytes: point };
}

export function rawP256Private(privateKey: NonNullable<Component['privateKey']>): Uint8Array {
  const { d } = privateKey.export({ format: 'jwk' });
  if (d === undefined) throw new TypeError('not an EC key');
  return new Uint8Array(Buffer.from(d, 'base64url'));
}

export function newP256(): Component {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey, publicBytes: pointOf(publicKey) };
}
