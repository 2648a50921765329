import type { EnvelopeHeader } from '@astis/protocol/formats';
import {
  CHUNK_BYTES,
  concat,
  encodeEnvelopeHeader,
  HASH_BYTES,
  layoutFor,
  SIGNATURE_BYTES,
  TAG_BYTES,
} from '@astis/protocol/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newArtifactId, newDek } from './dek.ts';
import type { OpeningKey } from './envelope.ts';
import { chunkAt, openEnvelope, sealEnvelope, sourceOf } from './envelope.ts';
import type { SealedHeader } from './header.ts';
import { readHeader, sealHeader } from './header.ts';
import { outcome } from './outcome.fixture.ts';
import { chunkNonce, decryptChunk, encryptChunk, payloadKey, signPayload } from './payload.ts';
import { localSigner, newSigningKey } from './signing.ts';
import { signStatement, verifyStatement } from './statements.ts';
import { ALICE, artifact, BOB, flipped, OTHER_TENANT, TENANT, world } from './world.fixture.ts';

const pattern = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8)) & 255);

const w = await world();
const sealed = (plaintext: Uint8Array) => artifact(w, [w.bob], plaintext);
type Sealed = Awaited<ReturnType<typeof sealed>>;
const keyOf = ({ dek, statement }: Sealed): OpeningKey => ({ dek, statement, sealer: w.alice.certificate });

async function readAll(bytes: Uint8Array, key: OpeningKey): Promise<Uint8Array> {
  const reader = await openEnvelope(sourceOf(bytes), key);
  return reader.read(0, reader.plaintextBytes);
}

const EDGES = [
  0,
  1,
  15,
  16,
  CHUNK_BYTES - 1,
  CHUNK_BYTES,
  CHUNK_BYTES + 1,
  2 * CHUNK_BYTES,
  2 * CHUNK_BYTES + 17,
];

describe('an envelope', () => {
  it.each(EDGES)('of %i bytes opens to what was sealed', async (length) => {
    const plaintext = pattern(length);
    const made = await sealed(plaintext);
    expect(made.envelope.length).toBe(
      layoutFor(made.header.bytes.length, length).signatureAt + SIGNATURE_BYTES,
    );
    expect(Buffer.compare(await readAll(made.envelope, keyOf(made)), plaintext)).toBe(0);
  });

  it('reads anywhere what the whole has there', async () => {
    const plaintext = pattern(2 * CHUNK_BYTES + 1000);
    const made = await sealed(plaintext);
    const reader = await openEnvelope(sourceOf(made.envelope), keyOf(made));
    const near = fc.constantFrom(
      0,
      CHUNK_BYTES - 1,
      CHUNK_BYTES,
      CHUNK_BYTES + 1,
      2 * CHUNK_BYTES,
      plaintext.length,
    );
    const at = fc.oneof(near, fc.nat({ max: plaintext.length + 10 }));
    const length = fc.oneof(fc.nat({ max: 50 }), fc.constantFrom(CHUNK_BYTES, 2 * CHUNK_BYTES + 5));
    await fc.assert(
      fc.asyncProperty(at, length, async (from, count) => {
        const part = await reader.read(from, count);
        expect(Buffer.compare(part, plaintext.subarray(from, from + count))).toBe(0);
      }),
      { numRuns: 60 },
    );
    for (let index = 0; index < reader.chunks; index++)
      expect((await reader.readChunk(index)).length).toBe(index === 2 ? 1000 : CHUNK_BYTES);
    for (const index of [-1, 3, 0.5, Number.NaN])
      await expect(reader.readChunk(index)).rejects.toThrow(RangeError);
  });

  it('refuses every changed bit of a small one', async () => {
    const made = await sealed(pattern(20));
    for (let at = 0; at < made.envelope.length; at++)
      for (let bit = 0; bit < 8; bit++)
        expect(
          await outcome(() => readAll(flipped(made.envelope, at, bit), keyOf(made))),
          `byte ${at}, bit ${bit}`,
        ).not.toBe('accepted');
  });

  it('says which part was changed', async () => {
    const made = await sealed(pattern(CHUNK_BYTES + 100));
    const { headerBytes, hashesAt, signatureAt } = layoutFor(made.header.bytes.length, CHUNK_BYTES + 100);
    const changed = (at: number) => outcome(() => readAll(flipped(made.envelope, at), keyOf(made)));
    expect(await changed(0)).toBe('unknown_version');
    expect(await changed(headerBytes)).toBe('chunk_modified');
    expect(await changed(hashesAt - 1)).toBe('chunk_modified');
    expect(await changed(hashesAt)).toBe('signature_invalid');
    expect(await changed(signatureAt + SIGNATURE_BYTES - 1)).toBe('signature_invalid');
  });

  it('refuses to be cut off or made longer, anywhere', async () => {
    const made = await sealed(pattern(50));
    for (let end = 0; end < made.envelope.length; end++)
      expect(await outcome(() => readAll(made.envelope.subarray(0, end), keyOf(made)))).not.toBe('accepted');
    const longer = concat(made.envelope, Uint8Array.of(0));
    expect(await outcome(() => readAll(longer, keyOf(made)))).toBe('signature_invalid');
    const { headerBytes } = layoutFor(made.header.bytes.length, 50);
    const short = made.envelope.subarray(0, headerBytes + 60);
    expect(await outcome(() => readAll(short, keyOf(made)))).toBe('truncated');
  });
});

/** What a recipient could do, who knows the DEK but not the sealer's signing key. */
describe('chunks', () => {
  async function parts() {
    const made = await sealed(pattern(2 * CHUNK_BYTES + 9));
    const layout = layoutFor(made.header.bytes.length, 2 * CHUNK_BYTES + 9);
    const chunk = (index: number): Uint8Array => {
      const { at, length } = chunkAt(layout, index);
      return made.envelope.subarray(at, at + length);
    };
    const hash = (index: number): Uint8Array =>
      made.envelope.subarray(
        layout.hashesAt + index * HASH_BYTES,
        layout.hashesAt + (index + 1) * HASH_BYTES,
      );
    const signature = made.envelope.subarray(layout.signatureAt);
    return { made, layout, chunk, hash, signature };
  }

  it('exchanged are refused, with and without their hashes', async () => {
    const { made, chunk, hash, signature } = await parts();
    const put = (chunks: readonly number[], hashes: readonly number[]) =>
      concat(made.header.bytes, ...chunks.map(chunk), ...hashes.map(hash), signature);
    expect(await outcome(() => readAll(put([0, 1, 2], [0, 1, 2]), keyOf(made)))).toBe('accepted');
    expect(await outcome(() => readAll(put([1, 0, 2], [0, 1, 2]), keyOf(made)))).toBe('chunk_modified');
    expect(await outcome(() => readAll(put([1, 0, 2], [1, 0, 2]), keyOf(made)))).toBe('signature_invalid');
  });

  it('dropped or added at the end are refused', async () => {
    const { made, chunk, hash, signature } = await parts();
    const without = concat(made.header.bytes, chunk(0), chunk(1), hash(0), hash(1), signature);
    expect(await outcome(() => readAll(without, keyOf(made)))).toBe('signature_invalid');
    const added = concat(
      made.header.bytes,
      chunk(0),
      chunk(1),
      chunk(1),
      chunk(2),
      hash(0),
      hash(1),
      hash(1),
      hash(2),
      signature,
    );
    expect(await outcome(() => readAll(added, keyOf(made)))).toBe('signature_invalid');
  });

  it('do not decrypt in another place, or as the last one where they are not: STREAM alone finds it', async () => {
    const { made, chunk, hash } = await parts();
    const key = await payloadKey(made.dek, made.header.hash);
    const at = (index: number, last: boolean, from: number) =>
      outcome(() => decryptChunk(key, index, last, chunk(from), hash(from)));
    expect(await at(0, false, 0)).toBe('accepted');
    expect(await at(2, true, 2)).toBe('accepted');
    expect(await at(1, false, 0)).toBe('chunk_modified');
    // Cut off after the second chunk, by someone who makes hashes and signature fit: it isn't marked as last.
    expect(await at(1, true, 1)).toBe('chunk_modified');
    // Carried on after the last chunk.
    expect(await at(2, false, 2)).toBe('chunk_modified');
  });

  it('of another envelope do not decrypt, even under the same DEK: the key is bound to the header', async () => {
    const { made, chunk, hash } = await parts();
    const other = sealHeader({
      dek: made.dek,
      artifactId: newArtifactId(),
      tenantId: TENANT,
      sealer: ALICE,
      sealerKey: w.alice.signer.publicKey,
    });
    const key = await payloadKey(made.dek, other.hash);
    expect(await outcome(() => decryptChunk(key, 0, false, chunk(0), hash(0)))).toBe('chunk_modified');
  });

  it('count in the nonce: no two of an envelope are the same', () => {
    const nonces = [0, 1, 255, 256, 2 ** 31, 2 ** 32 - 1].flatMap((index) =>
      [false, true].map((last) => Buffer.from(chunkNonce(index, last)).toString('hex')),
    );
    expect(new Set(nonces).size).toBe(12);
    expect(nonces[3]).toBe('000000000000000000000101');
    expect(nonces[10]).toBe('00000000000000ffffffff00');
  });

  it('encrypted anew by a recipient, who can make a tag that holds, are not the ones that the sealer signed', async () => {
    const { made, chunk, hash, layout } = await parts();
    const key = await payloadKey(made.dek, made.header.hash);
    const forged = await encryptChunk(key, 1, false, new Uint8Array(CHUNK_BYTES));
    expect(forged.ciphertext.length).toBe(chunk(1).length);
    expect(await outcome(() => decryptChunk(key, 1, false, forged.ciphertext, forged.hash))).toBe('accepted');
    expect(await outcome(() => decryptChunk(key, 1, false, forged.ciphertext, hash(1)))).toBe(
      'chunk_modified',
    );
    const envelope = Uint8Array.from(made.envelope);
    envelope.set(forged.ciphertext, chunkAt(layout, 1).at);
    expect(await outcome(() => readAll(envelope, keyOf(made)))).toBe('chunk_modified');
  });

  it('resealed by a recipient, who knows the DEK, do not pass as the sealer’s', async () => {
    const made = await sealed(pattern(40));
    const recipient = localSigner(newSigningKey());
    const forged = await sealEnvelope(pattern(41), made.header, made.dek, recipient);
    expect(await outcome(() => readAll(forged, keyOf(made)))).toBe('signature_invalid');
    // Under a header that names the recipient's own key.
    const own = sealHeader({ ...made.header.header, dek: made.dek, sealerKey: recipient.publicKey });
    const reheaded = await sealEnvelope(pattern(41), own, made.dek, recipient);
    expect(await outcome(() => readAll(reheaded, keyOf(made)))).toBe('header_mismatch');
  });
});

describe('an envelope and its statement', () => {
  it('of different artifacts, tenants or sealers do not fit', async () => {
    const made = await sealed(pattern(5));
    const open = (change: Partial<typeof made.statement>) =>
      outcome(() => readAll(made.envelope, { ...keyOf(made), statement: { ...made.statement, ...change } }));
    expect(await open({})).toBe('accepted');
    expect(await open({ artifactId: newArtifactId() })).toBe('statement_mismatch');
    expect(await open({ tenantId: OTHER_TENANT })).toBe('statement_mismatch');
    expect(await open({ sealer: BOB })).toBe('statement_mismatch');
    const other = await sealed(pattern(5));
    expect(await open({ headerHash: other.statement.headerHash })).toBe('header_mismatch');
    expect(await open({ commitment: other.statement.commitment })).toBe('commitment_mismatch');
  });

  it('fit the certified key of the sealer only', async () => {
    const made = await sealed(pattern(5));
    const open = (sealer: OpeningKey['sealer']) =>
      outcome(() => readAll(made.envelope, { ...keyOf(made), sealer }));
    expect(await open(w.bob.certificate)).toBe('header_mismatch');
    expect(await open(w.organisation.certificate)).toBe('header_mismatch');
  });

  it('open under one DEK only: a ciphertext made for two is refused by the commitment', async () => {
    // A sealer with two DEKs, who makes a header under the first and states it. Under the second the header's
    // commitment doesn't hold, whatever the chunks would decrypt to.
    const made = await sealed(pattern(5));
    const second = newDek();
    expect(await outcome(() => readAll(made.envelope, { ...keyOf(made), dek: second }))).toBe(
      'commitment_mismatch',
    );
    // The commitment of the second DEK in a header and statement, chunks and all signed by the sealer.
    const header: EnvelopeHeader = {
      ...made.header.header,
      commitment: sealHeader({ ...made.header.header, dek: second }).header.commitment,
    };
    const bytes = encodeEnvelopeHeader(header);
    const twoKeyed: SealedHeader = readHeader(bytes);
    const envelope = await sealEnvelope(pattern(5), twoKeyed, made.dek, w.alice.signer);
    const statement = verifyStatement(
      await signStatement(
        { ...made.statement, headerHash: twoKeyed.hash, commitment: header.commitment },
        w.alice.signer,
      ),
      w.alice.certificate,
    );
    const open = (dek: OpeningKey['dek']) =>
      outcome(() => readAll(envelope, { ...keyOf(made), statement, dek }));
    expect(await open(made.dek)).toBe('commitment_mismatch');
    expect(await open(second)).toBe('chunk_modified');
  });
});

it('the signature covers the plaintext length: the same hashes say nothing else', async () => {
  const made = await sealed(pattern(3));
  const layout = layoutFor(made.header.bytes.length, 3);
  const chunkHashes = made.envelope.subarray(layout.hashesAt, layout.signatureAt);
  const digest = {
    artifactId: made.context.artifactId,
    headerHash: made.header.hash,
    plaintextBytes: 3,
    chunkHashes,
  };
  const signature = await signPayload(digest, w.alice.signer);
  expect(signature).toEqual(made.envelope.subarray(layout.signatureAt));
  expect(await signPayload({ ...digest, plaintextBytes: 4 }, w.alice.signer)).not.toEqual(signature);
});

it('a chunk is its plaintext and a tag longer, and its hash covers both', async () => {
  const key = await payloadKey(newDek(), (await sealed(pattern(0))).header.hash);
  const { ciphertext, hash } = await encryptChunk(key, 0, true, pattern(10));
  expect(ciphertext.length).toBe(10 + TAG_BYTES);
  for (let at = 0; at < ciphertext.length; at++)
    expect(await outcome(() => decryptChunk(key, 0, true, flipped(ciphertext, at), hash))).toBe(
      'chunk_modified',
    );
});
