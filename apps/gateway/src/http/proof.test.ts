import type { KeyObject } from 'node:crypto';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { SigningPublicKey } from '@astis/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ExpectedProof } from './proof.ts';
import { checkProof, proofKey } from './proof.ts';

const NOW = 1_800_000_000_000;
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const x = publicKey.export({ format: 'jwk' }).x ?? '';
const rawKey = new Uint8Array(Buffer.from(x, 'base64url')) as SigningPublicKey;
const jwk = { kty: 'OKP', crv: 'Ed25519', x };
const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

const expected: ExpectedProof = {
  method: 'POST',
  url: 'https://gateway.test/v1/releases',
  bodyDigest: digest('{}'),
  tokenDigest: digest('token'),
  acceptsNonce: (nonce) => nonce === 'fresh',
  now: NOW,
};
const header = { typ: 'dpop+jwt', alg: 'EdDSA', jwk };
const claims = {
  htm: 'POST',
  htu: 'https://gateway.test/v1/releases',
  bd: digest('{}'),
  ath: digest('token'),
  nonce: 'fresh',
  iat: NOW / 1000,
  jti: 'an-id-of-this-proof',
};

const json64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function proof(
  change: { readonly header?: object; readonly claims?: object; readonly key?: KeyObject } = {},
): string {
  const input = `${json64({ ...header, ...change.header })}.${json64({ ...claims, ...change.claims })}`;
  return `${input}.${sign(null, Buffer.from(input), change.key ?? privateKey).toString('base64url')}`;
}

const check = (text: string) => checkProof(text, proofKey(rawKey), expected);

test('a proof for this very request is accepted, and its id is told', async () => {
  expect(await check(proof())).toEqual({ id: claims.jti });
});

describe('refused is a proof', () => {
  const other = generateKeyPairSync('ed25519');
  const otherX = other.publicKey.export({ format: 'jwk' }).x;
  test.each([
    ['for another method', { claims: { htm: 'GET' } }, 'proof_invalid'],
    ['for another URL', { claims: { htu: 'https://gateway.test/v1/policy' } }, 'proof_invalid'],
    ['for another body', { claims: { bd: digest('{"a":1}') } }, 'proof_invalid'],
    ['without a body digest', { claims: { bd: undefined } }, 'proof_invalid'],
    ['for another token', { claims: { ath: digest('other') } }, 'proof_invalid'],
    ['without an id', { claims: { jti: undefined } }, 'proof_invalid'],
    ['with a short id', { claims: { jti: 'short' } }, 'proof_invalid'],
    ['made long ago', { claims: { iat: NOW / 1000 - 3600 } }, 'proof_invalid'],
    ['made in the future', { claims: { iat: NOW / 1000 + 3600 } }, 'proof_invalid'],
    ['with a stale nonce', { claims: { nonce: 'stale' } }, 'proof_nonce_required'],
    ['without a nonce', { claims: { nonce: undefined } }, 'proof_nonce_required'],
    ['of another type', { header: { typ: 'JWT' } }, 'proof_invalid'],
    ['that is not signed', { header: { alg: 'none' } }, 'proof_invalid'],
    ['by a symmetric algorithm', { header: { alg: 'HS256' } }, 'proof_invalid'],
    ['with a critical extension', { header: { crit: ['b64'] } }, 'proof_invalid'],
    ['that shows a private key', { header: { jwk: { ...jwk, d: 'secret' } } }, 'proof_invalid'],
    [
      'that names another key and is signed by it',
      { header: { jwk: { ...jwk, x: otherX } }, key: other.privateKey },
      'proof_invalid',
    ],
    ['that names the key and is signed by another', { key: other.privateKey }, 'proof_invalid'],
  ])('%s', async (_what, change, code) => {
    await expect(check(proof(change))).rejects.toMatchObject({ code });
  });

  test('with any character changed', async () => {
    const good = proof();
    for (let at = 0; at < good.length; at++) {
      // Base64url spells the last bits of a segment in several ways; only a change of the bytes must be refused.
      const changed = `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`;
      if (
        Buffer.from(changed.split('.')[2] ?? '', 'base64url').equals(
          Buffer.from(good.split('.')[2] ?? '', 'base64url'),
        ) &&
        changed.startsWith(good.slice(0, good.lastIndexOf('.')))
      )
        continue;
      await expect(check(changed)).rejects.toMatchObject({ code: expect.stringMatching(/^proof_/) });
    }
  });

  test('that is anything else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(fc.base64String(), { maxLength: 4 }).map((parts) => parts.join('.')),
        ),
        async (text) => {
          await expect(check(text)).rejects.toMatchObject({ code: 'proof_invalid' });
        },
      ),
    );
  });
});
