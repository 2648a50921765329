/** Published vectors of the standards, on both backends. */
import { readFileSync } from 'node:fs';
import type { KemPrivateKey, SigningPrivateKey, SigningPublicKey } from '@astis/protocol/formats';
import { KEM_NAMES, KEMS, toHex } from '@astis/protocol/formats';
import { describe, expect, it } from 'vitest';
import { backend as browser } from './browser/backend.ts';
import { backend as node } from './node/backend.ts';

const BACKENDS = [
  ['node', node],
  ['browser', browser],
] as const;

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));

interface HpkeVector {
  readonly kem_id: number;
  readonly info: string;
  readonly ikmR: string;
  readonly skRm: string;
  readonly pkRm: string;
  readonly enc: string;
  readonly encryptions: readonly {
    readonly aad: string;
    readonly ciphertext: string;
    readonly plaintext: string;
  }[];
  readonly exports: readonly {
    readonly exporter_context: string;
    readonly L: number;
    readonly exported_value: string;
  }[];
}
const hpke = vectors('hpke') as { readonly vectors: readonly HpkeVector[] };
const xwing = vectors('xwing') as {
  readonly secretKey: string;
  readonly publicKeyStart: string;
  readonly publicKeyEnd: string;
  readonly encapsulated: string;
  readonly sharedSecret: string;
};

describe.each(BACKENDS)('standards on the %s backend', (_, backend) => {
  it.each(hpke.vectors)('HPKE (RFC 9180), KEM $kem_id', async (vector) => {
    const kem = KEM_NAMES.find((name) => KEMS[name].id === vector.kem_id);
    if (kem === undefined) throw new Error('a KEM that is not in the registry');
    const suite = backend.hpke(kem);
    const derived = await suite.DeriveKeyPair(hex(vector.ikmR), true);
    expect(toHex(await suite.SerializePublicKey(derived.publicKey))).toBe(vector.pkRm);
    expect(toHex(await suite.SerializePrivateKey(derived.privateKey))).toBe(vector.skRm);
    expect(toHex(backend.kemPublicKey(kem, hex(vector.skRm) as KemPrivateKey))).toBe(vector.pkRm);
    const key = await suite.DeserializePrivateKey(hex(vector.skRm));
    const context = await suite.SetupRecipient(key, hex(vector.enc), { info: hex(vector.info) });
    for (const { aad, ciphertext, plaintext } of vector.encryptions)
      expect(toHex(await context.Open(hex(ciphertext), hex(aad)))).toBe(plaintext);
    for (const { exporter_context, L, exported_value } of vector.exports)
      expect(toHex(await context.Export(hex(exporter_context), L))).toBe(exported_value);
  });

  it('has two HPKE vectors to go by', () => {
    expect(hpke.vectors.map(({ kem_id }) => kem_id).sort()).toEqual([0x10, 0x20]);
  });

  it('X-Wing expands its seed to the public key of the draft', () => {
    const publicKey = toHex(backend.kemPublicKey('X-Wing', hex(xwing.secretKey) as KemPrivateKey));
    expect(publicKey.length).toBe(2 * 1216);
    expect(publicKey.startsWith(xwing.publicKeyStart)).toBe(true);
    expect(publicKey.endsWith(xwing.publicKeyEnd)).toBe(true);
  });

  it('Ed25519 (RFC 8032 section 7.1)', () => {
    for (const [seed, publicKey, message, signature] of ED25519) {
      const key = hex(seed) as SigningPrivateKey;
      expect(toHex(backend.ed25519PublicKey(key))).toBe(publicKey);
      expect(toHex(backend.ed25519Signer(key)(hex(message)))).toBe(signature);
      const raw = hex(publicKey) as SigningPublicKey;
      expect(backend.ed25519Verify(raw, hex(message), hex(signature))).toBe(true);
      expect(backend.ed25519Verify(raw, hex(`${message}00`), hex(signature))).toBe(false);
    }
  });

  it('HKDF-SHA256 (RFC 5869 appendix A)', () => {
    expect(
      toHex(
        backend.hkdfSha256(
          hex('0b'.repeat(22)),
          hex('000102030405060708090a0b0c'),
          hex('f0f1f2f3f4f5f6f7f8f9'),
          42,
        ),
      ),
    ).toBe('3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865');
    expect(toHex(backend.hkdfSha256(hex('0b'.repeat(22)), hex(''), hex(''), 42))).toBe(
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    );
  });

  it('AES-256-GCM (GCM specification, test cases 13, 14 and 16)', async () => {
    for (const [key, nonce, plaintext, aad, ciphertext] of GCM) {
      const aead = await backend.aes256gcm(hex(key));
      expect(toHex(await aead.seal(hex(nonce), hex(plaintext), hex(aad)))).toBe(ciphertext);
      expect(toHex((await aead.open(hex(nonce), hex(ciphertext), hex(aad))) ?? hex('ff'))).toBe(plaintext);
      expect(await aead.open(hex(nonce), hex(ciphertext), hex(`${aad}00`))).toBeUndefined();
    }
  });

  it('SHA-256 (FIPS 180-4)', async () => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(toHex(backend.sha256(hex('616263')))).toBe(abc);
    expect(toHex(await backend.sha256Chunk(hex('616263')))).toBe(abc);
  });
});

describe('X-Wing (draft-connolly-cfrg-xwing-kem, appendix C)', () => {
  it('decapsulates to the shared secret of the draft: checked through the exporter of HPKE', async () => {
    // Both backends set up HPKE from the vector's encapsulation; their secrets agree with one another, and the
    // node KEM's shared secret is the draft's.
    const { xwing: kem } = await import('./node/hpke/xwing.ts');
    const key = await kem().DeserializePrivateKey(hex(xwing.secretKey), false);
    expect(toHex(await kem().Decap(hex(xwing.encapsulated), key, undefined))).toBe(xwing.sharedSecret);
    const exported = await Promise.all(
      BACKENDS.map(async ([, backend]) => {
        const suite = backend.hpke('X-Wing');
        const own = await suite.DeserializePrivateKey(hex(xwing.secretKey));
        const context = await suite.SetupRecipient(own, hex(xwing.encapsulated));
        return toHex(await context.Export(hex('00'), 32));
      }),
    );
    expect(exported[0]).toBe(exported[1]);
  });
});

const ED25519 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const;

const GCM = [
  ['00'.repeat(32), '00'.repeat(12), '', '', '530f8afbc74536b9a963b4f1c4cb738b'],
  [
    '00'.repeat(32),
    '00'.repeat(12),
    '00'.repeat(16),
    '',
    'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
  ],
  [
    'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
    'cafebabefacedbaddecaf888',
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
  ],
] as const;
