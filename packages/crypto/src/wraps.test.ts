import type { KemPublicKey, WrapContext } from '@astis/protocol/formats';
import {
  decodeWrap,
  encodeWrap,
  KEM_NAMES,
  KEMS,
  kemKeyId,
  ProtocolError,
  toHex,
} from '@astis/protocol/formats';
import { describe, expect, it } from 'vitest';
import { dekCommitment, newArtifactId, newDek } from './dek.ts';
import { kemKeyPair, localUnwrapper, newKemKeyPair } from './kem.ts';
import { outcome } from './outcome.fixture.ts';
import { artifact, BOB, CAROL, first, flipped, OTHER_TENANT, world } from './world.fixture.ts';
import { openChallenge, sealChallenge, unwrapDek, wrapDek, wrapDekToMany } from './wraps.ts';

describe.each(KEM_NAMES)('a wrap under %s', (kem) => {
  it('opens for its recipient, and is another each time', async () => {
    const w = await world(kem);
    const { dek, context } = await artifact(w, [w.bob], new Uint8Array(0));
    const bob = { address: BOB, kem, kemKey: w.bob.certificate.kemKey };
    const [a, b] = await wrapDekToMany(dek, [bob, bob], context);
    if (a === undefined || b === undefined) throw new Error('two wraps');
    expect(toHex(a.wrap)).not.toBe(toHex(b.wrap));
    for (const { wrap, keyId } of [a, b])
      expect(await unwrapDek(wrap, w.bob.unwrapper, { ...context, address: BOB, keyId })).toEqual(dek);
  });

  it('fails to open when it is moved: to another artifact, tenant, header, commitment or recipient', async () => {
    const w = await world(kem);
    const { context, wraps } = await artifact(w, [w.bob], new Uint8Array(0));
    const { wrap, keyId } = first(wraps);
    const home: WrapContext = { ...context, address: BOB, keyId };
    const other = await artifact(w, [w.bob], new Uint8Array(0));
    expect(await outcome(() => unwrapDek(wrap, w.bob.unwrapper, home))).toBe('accepted');
    const moves: Partial<WrapContext>[] = [
      { artifactId: other.context.artifactId },
      { tenantId: OTHER_TENANT },
      { headerHash: other.context.headerHash },
      { commitment: other.context.commitment },
      { address: CAROL },
    ];
    for (const move of moves)
      expect(await outcome(() => unwrapDek(wrap, w.bob.unwrapper, { ...home, ...move }))).toBe(
        'wrap_open_failed',
      );
  });

  it('is refused for another key, whatever it says about itself', async () => {
    const w = await world(kem);
    const { context, wraps } = await artifact(w, [w.bob], new Uint8Array(0));
    const { wrap, keyId } = first(wraps);
    const carolKey = w.carol.unwrapper.keyId;
    const toCarol = { ...context, address: CAROL, keyId: carolKey };
    expect(await outcome(() => unwrapDek(wrap, w.carol.unwrapper, { ...toCarol, keyId }))).toBe(
      'recipient_mismatch',
    );
    expect(await outcome(() => unwrapDek(wrap, w.bob.unwrapper, toCarol))).toBe('recipient_mismatch');
    // Relabelled as Carol's: her key doesn't open it.
    const relabelled = encodeWrap({ ...decodeWrap(wrap), keyId: carolKey });
    expect(await outcome(() => unwrapDek(relabelled, w.carol.unwrapper, toCarol))).toBe('wrap_open_failed');
  });

  it('refuses every changed byte', async () => {
    const w = await world(kem);
    const { context, wraps } = await artifact(w, [w.bob], new Uint8Array(0));
    const { wrap, keyId } = first(wraps);
    const home = { ...context, address: BOB, keyId };
    for (let at = 0; at < wrap.length; at++)
      expect(
        await outcome(() => unwrapDek(flipped(wrap, at, at % 8) as typeof wrap, w.bob.unwrapper, home)),
        `byte ${at}`,
      ).not.toBe('accepted');
  });

  it('of a DEK that the artifact does not commit to is never made, and refused where it was', async () => {
    const w = await world(kem);
    const { context } = await artifact(w, [w.bob], new Uint8Array(0));
    const { kem: name, kemKey } = w.bob.certificate;
    const bob = { address: BOB, kem: name, kemKey };
    const otherDek = newDek();
    expect(await outcome(() => wrapDek(otherDek, bob, context))).toBe('commitment_mismatch');
    // A sealer who breaks the rule: wraps a second DEK under the commitment of the first by not checking it.
    const { sealToKem } = await import('./kem.ts');
    const { WRAP_INFO, wrapAad } = await import('@astis/protocol/formats');
    const home = { ...context, address: BOB, keyId: w.bob.unwrapper.keyId };
    const sealed = await sealToKem(name, kemKey, otherDek, WRAP_INFO, wrapAad(home));
    const wrap = encodeWrap({ kem: name, keyId: home.keyId, ...sealed });
    expect(await outcome(() => unwrapDek(wrap, w.bob.unwrapper, home))).toBe('commitment_mismatch');
  });

  it('keys come back from storage, with the public half worked out anew', async () => {
    const pair = await newKemKeyPair(kem);
    expect(kemKeyPair(kem, pair.privateKey)).toEqual(pair);
    expect(pair.keyId).toBe(kemKeyId(kem, pair.publicKey));
    for (const length of [0, 31, 33])
      expect(await outcome(() => localUnwrapper(kem, new Uint8Array(length) as never))).toBe('key_invalid');
  });

  it('is not made to a public key that is none', async () => {
    const w = await world(kem);
    const { dek, context } = await artifact(w, [w.bob], new Uint8Array(0));
    const length = KEMS[kem].publicKeyBytes;
    const wrong = [new Uint8Array(length - 1), new Uint8Array(length + 1), new Uint8Array(length).fill(255)];
    // All ones is a point like any other to X25519 (RFC 7748 section 5); the zero point is the refused one.
    if (kem === 'X25519') wrong[2] = new Uint8Array(length);
    for (const kemKey of wrong)
      expect(
        await outcome(() => wrapDek(dek, { address: BOB, kem, kemKey: kemKey as KemPublicKey }, context)),
      ).toBe('key_invalid');
  });

  it('a challenge is answered by the key that it was sealed to, and by no other', async () => {
    const w = await world(kem);
    const answer = new Uint8Array(32).fill(42);
    const challenge = await sealChallenge(kem, w.bob.certificate.kemKey, answer);
    expect(challenge.ciphertext.length).toBe(48);
    expect(await openChallenge(challenge, w.bob.unwrapper)).toEqual(answer);
    expect(await outcome(() => openChallenge(challenge, w.carol.unwrapper))).toBe('wrap_open_failed');
    const changed = { ...challenge, ciphertext: flipped(challenge.ciphertext, 0) };
    expect(await outcome(() => openChallenge(changed, w.bob.unwrapper))).toBe('wrap_open_failed');
  });

  it('and a challenge are not taken for one another', async () => {
    const w = await world(kem);
    const { context, wraps } = await artifact(w, [w.bob], new Uint8Array(0));
    const { wrap, keyId } = first(wraps);
    const { enc, ciphertext } = decodeWrap(wrap);
    expect(await outcome(() => openChallenge({ enc, ciphertext }, w.bob.unwrapper))).toBe('wrap_open_failed');
    const challenge = await sealChallenge(kem, w.bob.certificate.kemKey, new Uint8Array(32));
    const disguised = encodeWrap({ kem, keyId, ...challenge });
    expect(
      await outcome(() => unwrapDek(disguised, w.bob.unwrapper, { ...context, address: BOB, keyId })),
    ).toBe('wrap_open_failed');
  });
});

describe('the commitment', () => {
  it('belongs to one DEK and one artifact', () => {
    const [dek, other] = [newDek(), newDek()];
    const [artifactId, elsewhere] = [newArtifactId(), newArtifactId()];
    const all = [
      dekCommitment(dek, artifactId),
      dekCommitment(dek, elsewhere),
      dekCommitment(other, artifactId),
    ];
    expect(new Set(all.map(toHex)).size).toBe(3);
  });

  it('is not the DEK and not a part of it', () => {
    const dek = newDek();
    expect(toHex(dekCommitment(dek, newArtifactId()))).not.toContain(toHex(dek.subarray(0, 8)));
  });
});

it('a wrap of another version or shape is refused with a protocol error', async () => {
  const w = await world();
  const { context } = await artifact(w, [w.bob], new Uint8Array(0));
  const home = { ...context, address: BOB, keyId: w.bob.unwrapper.keyId };
  await expect(unwrapDek(Uint8Array.of(0xa0) as never, w.bob.unwrapper, home)).rejects.toBeInstanceOf(
    ProtocolError,
  );
});
