/** The two backends against each other: the same bytes from the same input, and the same refusals. */
import { createHash } from 'node:crypto';
import type { KemName, KemPrivateKey, SigningPrivateKey, SigningPublicKey } from '@astis/protocol/formats';
import { KEM_NAMES, KEMS } from '@astis/protocol/formats';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Backend } from './backend.ts';
import { backend as browser } from './browser/backend.ts';
import { backend as node } from './node/backend.ts';
import { flipped } from './world.fixture.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const text = fc.uint8Array({ maxLength: 3000 });
const PAIRS: readonly (readonly [string, Backend, Backend])[] = [
  ['node to browser', node, browser],
  ['browser to node', browser, node],
];

describe('backends agree', () => {
  it('on hashes and derived keys', async () => {
    await fc.assert(
      fc.asyncProperty(
        text,
        text,
        text,
        fc.integer({ min: 1, max: 200 }),
        async (ikm, salt, info, length) => {
          expect(browser.sha256(ikm)).toEqual(node.sha256(ikm));
          expect(await browser.sha256Chunk(ikm)).toEqual(await node.sha256Chunk(ikm));
          expect(browser.hkdfSha256(ikm, salt, info, length)).toEqual(
            node.hkdfSha256(ikm, salt, info, length),
          );
        },
      ),
    );
  });

  it('on AES-256-GCM, with and without AAD', async () => {
    await fc.assert(
      fc.asyncProperty(bytes(32), bytes(12), text, fc.option(text), async (key, nonce, plaintext, aad) => {
        const [a, b] = [await node.aes256gcm(key), await browser.aes256gcm(key)];
        const sealed = await a.seal(nonce, plaintext, aad ?? undefined);
        expect(await b.seal(nonce, plaintext, aad ?? undefined)).toEqual(sealed);
        expect(await b.open(nonce, sealed, aad ?? undefined)).toEqual(plaintext);
        expect(await a.open(nonce, sealed, aad ?? undefined)).toEqual(plaintext);
      }),
    );
  });

  it('on refusing a changed ciphertext, a short one and another nonce', async () => {
    await fc.assert(
      fc.asyncProperty(bytes(32), bytes(12), text, fc.nat(), async (key, nonce, plaintext, at) => {
        for (const backend of [node, browser]) {
          const aead = await backend.aes256gcm(key);
          const sealed = await aead.seal(nonce, plaintext);
          expect(await aead.open(nonce, flipped(sealed, at % sealed.length))).toBeUndefined();
          expect(await aead.open(flipped(nonce, at % 12), sealed)).toBeUndefined();
          expect(await aead.open(nonce, sealed.subarray(0, at % 16))).toBeUndefined();
        }
      }),
    );
  });

  it('on Ed25519 keys and signatures, made and checked', () => {
    fc.assert(
      fc.property(bytes(32), text, fc.nat(), fc.integer({ min: 0, max: 7 }), (raw, message, at, bit) => {
        const seed = raw as SigningPrivateKey;
        const publicKey = node.ed25519PublicKey(seed);
        expect(browser.ed25519PublicKey(seed)).toEqual(publicKey);
        const signature = node.ed25519Signer(seed)(message);
        expect(browser.ed25519Signer(seed)(message)).toEqual(signature);
        for (const backend of [node, browser]) {
          expect(backend.ed25519Verify(publicKey, message, signature)).toBe(true);
          expect(backend.ed25519Verify(publicKey, message, flipped(signature, at % 64, bit))).toBe(false);
          expect(backend.ed25519Verify(publicKey, message, signature.subarray(1))).toBe(false);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('on refusing a signature whose scalar has the group order added (RFC 8032 section 5.1.7)', () => {
    const seed = new Uint8Array(32).fill(7) as SigningPrivateKey;
    const publicKey = node.ed25519PublicKey(seed);
    const signature = node.ed25519Signer(seed)(Uint8Array.of(1));
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    let scalar = order;
    for (let i = 63; i >= 32; i--) scalar += BigInt(signature[i] ?? 0) << BigInt(8 * (i - 32));
    const other = Uint8Array.from(signature);
    for (let i = 32; i < 64; i++) other[i] = Number((scalar >> BigInt(8 * (i - 32))) & 255n);
    for (const backend of [node, browser])
      expect(backend.ed25519Verify(publicKey, Uint8Array.of(1), other)).toBe(false);
  });

  it('on refusing keys of small order, under which anyone could sign, in every encoding', () => {
    // With R = B and S = 1 the equation holds for every message whose challenge is a multiple of the key's order.
    const signature = new Uint8Array(64);
    signature.set(ed25519.Point.BASE.toBytes());
    signature[32] = 1;
    const tail = 'ff'.repeat(30);
    const uncanonical = [
      `ed${tail}7f`,
      `ed${tail}ff`,
      `ee${tail}7f`,
      `ee${tail}ff`,
      `01${'00'.repeat(30)}80`,
      `ec${tail}ff`,
    ];
    for (const encoded of [...ED25519_TORSION_SUBGROUP, ...uncanonical]) {
      const publicKey = Uint8Array.from(Buffer.from(encoded, 'hex')) as SigningPublicKey;
      for (let i = 0; i < 40; i++)
        for (const backend of [node, browser])
          expect(backend.ed25519Verify(publicKey, Uint8Array.of(i), signature), encoded).toBe(false);
    }
  });

  it('on refusing signatures that hold with the cofactor only', () => {
    const { Point } = ed25519;
    const secret = 12_345n;
    const publicKey = Point.BASE.multiply(secret).toBytes() as SigningPublicKey;
    const [, torsion] = ED25519_TORSION_SUBGROUP;
    const r = Point.BASE.multiply(67n)
      .add(Point.fromHex(torsion ?? ''))
      .toBytes();
    const message = Uint8Array.of(9);
    const challenge = Point.Fn.create(
      BigInt(
        `0x${Buffer.from(createHash('sha512').update(r).update(publicKey).update(message).digest()).reverse().toString('hex')}`,
      ),
    );
    let scalar = Point.Fn.create(67n + challenge * secret);
    const signature = new Uint8Array(64);
    signature.set(r);
    for (let i = 32; i < 64; i++) {
      signature[i] = Number(scalar & 255n);
      scalar >>= 8n;
    }
    expect(ed25519.verify(signature, message, publicKey, { zip215: false })).toBe(true);
    for (const backend of [node, browser])
      expect(backend.ed25519Verify(publicKey, message, signature)).toBe(false);
  });

  it('on saying no, not throwing, for bytes that are no Ed25519 key', () => {
    for (const backend of [node, browser])
      for (const length of [0, 31, 33, 64])
        expect(
          backend.ed25519Verify(
            new Uint8Array(length) as SigningPublicKey,
            new Uint8Array(1),
            new Uint8Array(64),
          ),
        ).toBe(false);
  });

  it.each(KEM_NAMES)('on the public half of a %s key', (kem) => {
    fc.assert(
      fc.property(bytes(32), (raw) => {
        const privateKey = raw as KemPrivateKey;
        expect(browser.kemPublicKey(kem, privateKey)).toEqual(node.kemPublicKey(kem, privateKey));
      }),
      { numRuns: 20, examples: [[new Uint8Array(32).fill(1)]] },
    );
  });

  it('on refusing private P-256 keys outside the group', () => {
    const order = Uint8Array.from(
      Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex'),
    );
    for (const backend of [node, browser])
      for (const raw of [new Uint8Array(32), order, new Uint8Array(32).fill(255)])
        expect(() => backend.kemPublicKey('P-256', raw as KemPrivateKey)).toThrow();
  });

  describe.each(PAIRS)('on HPKE, %s', (_, sender, recipient) => {
    it.each(KEM_NAMES)('%s', async (kem: KemName) => {
      const suite = recipient.hpke(kem);
      const pair = await suite.GenerateKeyPair(true);
      const publicBytes = await suite.SerializePublicKey(pair.publicKey);
      const privateBytes = await suite.SerializePrivateKey(pair.privateKey);
      expect([publicBytes.length, privateBytes.length]).toEqual([
        KEMS[kem].publicKeyBytes,
        KEMS[kem].privateKeyBytes,
      ]);
      const info = Uint8Array.of(1);
      const aad = Uint8Array.of(2);
      const key = await sender.hpke(kem).DeserializePublicKey(publicBytes);
      const sealed = await sender.hpke(kem).Seal(key, Uint8Array.of(3, 4, 5), { info, aad });
      expect(sealed.encapsulatedSecret.length).toBe(KEMS[kem].encBytes);
      const own = await suite.DeserializePrivateKey(privateBytes);
      const open = (options: { info: Uint8Array; aad: Uint8Array }) =>
        suite.Open(own, sealed.encapsulatedSecret, sealed.ciphertext, options);
      expect(await open({ info, aad })).toEqual(Uint8Array.of(3, 4, 5));
      await expect(open({ info: aad, aad })).rejects.toThrow();
      await expect(open({ info, aad: info })).rejects.toThrow();
      for (let at = 0; at < sealed.encapsulatedSecret.length; at += 61)
        await expect(
          suite.Open(own, flipped(sealed.encapsulatedSecret, at), sealed.ciphertext, { info, aad }),
        ).rejects.toThrow();
    });

    it('derives the same pair from the same input', async () => {
      for (const kem of KEM_NAMES) {
        const ikm = new Uint8Array(48).fill(5);
        const [a, b] = [
          await sender.hpke(kem).DeriveKeyPair(ikm, true),
          await recipient.hpke(kem).DeriveKeyPair(ikm, true),
        ];
        expect(await sender.hpke(kem).SerializePrivateKey(a.privateKey)).toEqual(
          await recipient.hpke(kem).SerializePrivateKey(b.privateKey),
        );
        expect(await sender.hpke(kem).SerializePublicKey(a.publicKey)).toEqual(
          await recipient.hpke(kem).SerializePublicKey(b.publicKey),
        );
      }
    });
  });

  it('on refusing public keys that are none', async () => {
    const offCurve = new Uint8Array(65).fill(1);
    offCurve[0] = 4;
    const lowOrder = new Uint8Array(32);
    const xwing = Uint8Array.from(node.kemPublicKey('X-Wing', new Uint8Array(32) as KemPrivateKey));
    const coefficient = Uint8Array.from(xwing);
    // 3329 = 0xd01 as the first coefficient, which must be below it.
    coefficient.set([0x01, ((coefficient[1] ?? 0) & 0xf0) | 0x0d]);
    const lastCoefficient = Uint8Array.from(xwing);
    lastCoefficient.set([((xwing[1150] ?? 0) & 0x0f) | 0x10, 0xd0], 1150);
    const lowOrderHalf = Uint8Array.from(xwing).fill(0, 1184);
    const attempts: readonly (readonly [KemName, Uint8Array])[] = [
      ['P-256', offCurve],
      ['X25519', lowOrder],
      ['X-Wing', coefficient],
      ['X-Wing', lastCoefficient],
      ['X-Wing', lowOrderHalf],
    ];
    for (const backend of [node, browser])
      for (const [kem, raw] of attempts) {
        const suite = backend.hpke(kem);
        const seal = async () => suite.Seal(await suite.DeserializePublicKey(raw), Uint8Array.of(1));
        await expect(seal(), `${kem}`).rejects.toThrow();
      }
  });

  it('keeps what is not extractable: a node key gives no private bytes then', async () => {
    for (const kem of KEM_NAMES) {
      const { privateKey } = await node.hpke(kem).GenerateKeyPair();
      await expect(node.hpke(kem).SerializePrivateKey(privateKey)).rejects.toThrow('extractable');
      expect(JSON.stringify(privateKey)).not.toMatch(/serialised/);
    }
  });
});
