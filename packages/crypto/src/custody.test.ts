import type { KemPrivateKey } from '@astis/protocol/formats';
import { fromBase64Url, toHex } from '@astis/protocol/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SealedKeyContext } from './custody.ts';
import { newChallengeAnswer, rewrapDek, rootKek } from './custody.ts';
import { localUnwrapper, newKemKeyPair } from './kem.ts';
import { outcome } from './outcome.fixture.ts';
import { artifact, BOB, first, flipped, OTHER_TENANT, subject, TENANT, world } from './world.fixture.ts';
import { unwrapDek } from './wraps.ts';

describe('private keys under the root key', async () => {
  const root = await rootKek(new Uint8Array(32).fill(1));
  const pair = await newKemKeyPair('X-Wing');
  const context: SealedKeyContext = { tenantId: TENANT, keyId: pair.keyId, purpose: 'organisation' };

  it('come back, and are sealed anew each time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (key) => {
        const [a, b] = [await root.sealKey(key, context), await root.sealKey(key, context)];
        expect(toHex(a)).not.toBe(toHex(b));
        expect(await root.unsealKey(a, context)).toEqual(key);
        expect(await root.unsealKey(b, context)).toEqual(key);
      }),
      { numRuns: 20 },
    );
  });

  it('do not show in the sealed bytes', async () => {
    const sealed = await root.sealKey(pair.privateKey, context);
    expect(toHex(sealed)).not.toContain(toHex(pair.privateKey.subarray(0, 8)));
    expect(sealed.length).toBe(1 + 12 + 32 + 16);
  });

  it('open for the same tenant, key id and purpose only', async () => {
    const sealed = await root.sealKey(pair.privateKey, context);
    const other = await newKemKeyPair('X25519');
    const moved: SealedKeyContext[] = [
      { ...context, tenantId: OTHER_TENANT },
      { ...context, keyId: other.keyId },
      { ...context, purpose: 'holding' },
      { ...context, purpose: 'identity' },
    ];
    for (const elsewhere of moved)
      expect(await outcome(() => root.unsealKey(sealed, elsewhere))).toBe('sealed_key_open_failed');
    const otherRoot = await rootKek(new Uint8Array(32).fill(2));
    expect(await outcome(() => otherRoot.unsealKey(sealed, context))).toBe('sealed_key_open_failed');
  });

  it('refuse every changed, cut or added byte', async () => {
    const sealed = await root.sealKey(pair.privateKey, context);
    for (let at = 0; at < sealed.length; at++) {
      expect(await outcome(() => root.unsealKey(flipped(sealed, at), context))).toBe(
        'sealed_key_open_failed',
      );
      expect(await outcome(() => root.unsealKey(sealed.subarray(0, at), context))).toBe(
        'sealed_key_open_failed',
      );
    }
    const longer = new Uint8Array([...sealed, 0]);
    expect(await outcome(() => root.unsealKey(longer, context))).toBe('sealed_key_open_failed');
  });

  it('need a root key of 32 bytes, which may be erased after it was taken', async () => {
    for (const length of [0, 16, 31, 33])
      expect(await outcome(() => rootKek(new Uint8Array(length)))).toBe('key_invalid');
    const raw = new Uint8Array(32).fill(1);
    const erased = await rootKek(raw);
    raw.fill(0);
    const sealed = await root.sealKey(pair.privateKey, context);
    expect(await erased.unsealKey(sealed, context)).toEqual(pair.privateKey);
  });
});

describe('rewrapping', () => {
  it('turns a capsule to one key into one to another, of any KEM', async () => {
    const w = await world('X-Wing');
    const holding = await subject(BOB, w.identity, { kem: 'P-256', kind: 'holding' });
    const { dek, context, capsules } = await artifact(w, [holding], new Uint8Array(0));
    const from = { ...context, address: BOB, keyId: holding.unwrapper.keyId };
    const to = { address: BOB, kem: w.bob.certificate.kem, kemKey: w.bob.certificate.kemKey };
    const next = await rewrapDek(holding.unwrapper, first(capsules).wrap, from, to);
    expect(next.keyId).toBe(w.bob.unwrapper.keyId);
    expect(await unwrapDek(next.wrap, w.bob.unwrapper, { ...from, keyId: next.keyId })).toEqual(dek);
    expect(await outcome(() => unwrapDek(next.wrap, holding.unwrapper, from))).toBe('recipient_mismatch');
  });

  it('erases the DEK, when it went well and when it failed', async () => {
    const w = await world();
    const { dek, context, capsules } = await artifact(w, [w.bob], new Uint8Array(0));
    const from = { ...context, address: BOB, keyId: w.bob.unwrapper.keyId };
    const seen: Uint8Array[] = [];
    const watched = {
      ...w.bob.unwrapper,
      async open(...parts: Parameters<typeof w.bob.unwrapper.open>) {
        const plaintext = await w.bob.unwrapper.open(...parts);
        if (plaintext !== undefined) {
          expect(plaintext).toEqual(dek);
          seen.push(plaintext);
        }
        return plaintext;
      },
    };
    const { kem, kemKey } = w.carol.certificate;
    await rewrapDek(watched, first(capsules).wrap, from, { address: BOB, kem, kemKey });
    const none = new Uint8Array(32) as typeof kemKey;
    expect(
      await outcome(() =>
        rewrapDek(watched, first(capsules).wrap, from, { address: BOB, kem, kemKey: none }),
      ),
    ).toBe('key_invalid');
    expect(seen.map(toHex)).toEqual(['00'.repeat(32), '00'.repeat(32)]);
  });

  it('refuses a capsule out of its place before it makes another', async () => {
    const w = await world();
    const { context, capsules } = await artifact(w, [w.bob], new Uint8Array(0));
    const from = { ...context, address: BOB, keyId: w.bob.unwrapper.keyId };
    const { kem, kemKey } = w.carol.certificate;
    const to = { address: BOB, kem, kemKey };
    const run = (change: Partial<typeof from>) =>
      outcome(() => rewrapDek(w.bob.unwrapper, first(capsules).wrap, { ...from, ...change }, to));
    expect(await run({ tenantId: OTHER_TENANT })).toBe('wrap_open_failed');
    expect(await run({ address: w.carol.address })).toBe('wrap_open_failed');
    expect(await run({ keyId: w.carol.unwrapper.keyId })).toBe('recipient_mismatch');
  });
});

it('challenge answers are fresh', () => {
  expect(toHex(newChallengeAnswer())).not.toBe(toHex(newChallengeAnswer()));
  expect(newChallengeAnswer().length).toBe(32);
});

it('an unwrapper outlives the bytes that it was made from', async () => {
  const w = await world();
  const pair = await newKemKeyPair('X-Wing');
  const privateKey = Uint8Array.from(pair.privateKey) as KemPrivateKey;
  const unwrapper = await localUnwrapper('X-Wing', privateKey);
  privateKey.fill(0);
  const { sealToKem } = await import('./kem.ts');
  const aad = fromBase64Url(w.bob.unwrapper.keyId);
  const { enc, ciphertext } = await sealToKem('X-Wing', pair.publicKey, Uint8Array.of(7), aad, aad);
  expect(await unwrapper.open(enc, ciphertext, aad, aad)).toEqual(Uint8Array.of(7));
});
