import { toHex, utf8 } from '@astis/protocol';
import { ed25519 } from '@noble/curves/ed25519.js';
import { hex } from '@scure/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as chosen from '#primitives';
import * as node from './node/primitives.ts';
import * as portable from './primitives.ts';

describe.each([
  ['noble', portable],
  ['node', node],
])('%s', (_, { sha256, verifyEd25519 }) => {
  it('hashes as FIPS 180-4 has it', () => {
    expect(toHex(sha256(utf8('abc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  it('verifies test 2 of RFC 8032 and refuses it changed', () => {
    const publicKey = hex.decode('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
    const signature = hex.decode(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
    expect(verifyEd25519(publicKey, Uint8Array.of(0x72), signature)).toBe(true);
    expect(verifyEd25519(publicKey, Uint8Array.of(0x73), signature)).toBe(false);
    expect(verifyEd25519(publicKey.with(0, 0x3c), Uint8Array.of(0x72), signature)).toBe(false);
    expect(verifyEd25519(publicKey, Uint8Array.of(0x72), signature.with(0, 0x93))).toBe(false);
    expect(verifyEd25519(publicKey, Uint8Array.of(0x72), signature.with(63, 0x10))).toBe(false);
  });

  it('says no to what is no key or no signature', () => {
    for (const length of [0, 31, 33]) {
      expect(verifyEd25519(new Uint8Array(length), new Uint8Array(1), new Uint8Array(64))).toBe(false);
    }
    const { publicKey } = ed25519.keygen();
    for (const length of [0, 63, 65]) {
      expect(verifyEd25519(publicKey, new Uint8Array(1), new Uint8Array(length))).toBe(false);
    }
  });
});

it('the two backends agree', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (data, seed) => {
        expect(node.sha256(data)).toEqual(portable.sha256(data));
        const signature = ed25519.sign(data, seed);
        const publicKey = ed25519.getPublicKey(seed);
        expect(node.verifyEd25519(publicKey, data, signature)).toBe(true);
        expect(portable.verifyEd25519(publicKey, data, signature)).toBe(true);
      },
    ),
    { numRuns: 50 },
  );
});

it("Node gets Node's backend", () => {
  expect(chosen.sha256).toBe(node.sha256);
});
