import type { RewrapLink, WrapBytes } from '@astis/protocol/formats';
import { decodeWrap, ORGANISATION, wrapHash } from '@astis/protocol/formats';
import { describe, expect, it } from 'vitest';
import { openCapsule, verifyCapsule } from './capsule.ts';
import { rewrapDek } from './custody.ts';
import { MAX_LINKS, signLink, verifyLinkChain } from './links.ts';
import { outcome } from './outcome.fixture.ts';
import { localSigner, newSigningKey } from './signing.ts';
import type { Subject } from './world.fixture.ts';
import { artifact, BOB, CAROL, first, OTHER_TENANT, subject, TENANT, world } from './world.fixture.ts';

/** Bob had no key: sealed to a holding key of his, then rewrapped to the key that he enrolled with, and again. */
async function story() {
  const w = await world();
  const holding = await subject(BOB, w.identity, { kind: 'holding' });
  const sealed = await artifact(w, [holding], new Uint8Array(10));
  const capsule = first(sealed.capsules);
  const later = await subject(BOB, w.identity);

  async function rewrap(wrap: WrapBytes, from: Subject, to: Subject) {
    const { address, unwrapper } = from;
    const context = { ...sealed.context, address, keyId: unwrapper.keyId };
    const next = await rewrapDek(unwrapper, wrap, context, { ...to.certificate, address: to.address });
    const link: RewrapLink = {
      tenantId: TENANT,
      artifactId: sealed.context.artifactId,
      from: { address, keyId: unwrapper.keyId, wrapHash: wrapHash(wrap) },
      to: { address: to.address, keyId: next.keyId, wrapHash: wrapHash(next.wrap) },
      at: 1_790_000_100,
    };
    return { wrap: next.wrap, link, bytes: await signLink(link, w.identity) };
  }

  const one = await rewrap(capsule.wrap, holding, w.bob);
  const two = await rewrap(one.wrap, w.bob, later);
  const chain = {
    statement: sealed.statement,
    wrap: two.wrap,
    links: [one.bytes, two.bytes],
    identityKey: w.identity.publicKey,
    recipient: { address: BOB, keyId: later.unwrapper.keyId },
  };
  return { w, holding, later, sealed, capsule, rewrap, one, two, chain };
}

describe('link chains', () => {
  it("lead from the sealer's statement to the wrap of today, which opens to the same DEK", async () => {
    const { w, later, sealed, capsule, chain, two } = await story();
    expect(await outcome(() => verifyLinkChain(chain))).toBe('accepted');
    const rewrapped = { ...capsule, wrap: two.wrap, links: chain.links };
    const opened = await openCapsule(rewrapped, w.trusted, later.unwrapper);
    expect(opened.dek).toEqual(sealed.dek);
    expect(opened.statement).toEqual(sealed.statement);
  });

  it('are refused with a link missing, out of order, twice or foreign', async () => {
    const { chain, one, two } = await story();
    const strange = await story();
    const cases: readonly (readonly Uint8Array[])[] = [
      [one.bytes],
      [one.bytes, two.bytes, two.bytes],
      [one.bytes, one.bytes, two.bytes],
      [strange.one.bytes, two.bytes],
    ];
    for (const links of cases)
      expect(await outcome(() => verifyLinkChain({ ...chain, links }))).toBe('link_chain_broken');
    // Without the first link, the chain starts at a key which the statement doesn't name.
    for (const links of [[two.bytes], [two.bytes, one.bytes]])
      expect(await outcome(() => verifyLinkChain({ ...chain, links }))).toBe('recipient_mismatch');
    expect(await outcome(() => verifyLinkChain({ ...chain, links: [] }))).toBe('recipient_mismatch');
  });

  it('are refused for another wrap, key, address or statement', async () => {
    const { w, chain, one, later, sealed } = await story();
    expect(await outcome(() => verifyLinkChain({ ...chain, wrap: one.wrap }))).toBe('recipient_mismatch');
    const asCarol = { ...chain, recipient: { address: CAROL, keyId: later.unwrapper.keyId } };
    expect(await outcome(() => verifyLinkChain(asCarol))).toBe('link_chain_broken');
    const other = await artifact(w, [w.bob], new Uint8Array(0));
    expect(await outcome(() => verifyLinkChain({ ...chain, statement: other.statement }))).toBe(
      'link_chain_broken',
    );
    const elsewhere = { ...sealed.statement, tenantId: OTHER_TENANT };
    expect(await outcome(() => verifyLinkChain({ ...chain, statement: elsewhere }))).toBe(
      'link_chain_broken',
    );
  });

  it('another wrap to the same key is not the one that the link names', async () => {
    const { w, chain, later, rewrap, one } = await story();
    const again = await rewrap(one.wrap, w.bob, later);
    expect(decodeWrap(again.wrap).keyId).toBe(later.unwrapper.keyId);
    expect(await outcome(() => verifyLinkChain({ ...chain, wrap: again.wrap }))).toBe('link_chain_broken');
  });

  it("are refused when anyone but the organisation signed: a gateway can't make one", async () => {
    const { chain, two } = await story();
    const gateway = localSigner(newSigningKey());
    const forged = await signLink(two.link, gateway);
    const links = [chain.links[0] ?? forged, forged];
    expect(await outcome(() => verifyLinkChain({ ...chain, links }))).toBe('link_chain_broken');
  });

  it("never lead from one person to another, even signed; the organisation's key alone recovers", async () => {
    const { w, sealed, capsule, holding, rewrap } = await story();
    const toCarol = await rewrap(capsule.wrap, holding, w.carol);
    const stolen = {
      statement: sealed.statement,
      wrap: toCarol.wrap,
      links: [toCarol.bytes],
      identityKey: w.identity.publicKey,
      recipient: { address: CAROL, keyId: w.carol.unwrapper.keyId },
    };
    expect(await outcome(() => verifyLinkChain(stolen))).toBe('link_chain_broken');

    const recoverable = await artifact(w, [w.bob, w.organisation], new Uint8Array(0));
    const own = recoverable.capsules.find(({ address }) => address === ORGANISATION);
    if (own === undefined) throw new Error('no capsule of the organisation');
    const context = { ...recoverable.context, address: ORGANISATION, keyId: w.organisation.unwrapper.keyId };
    const next = await rewrapDek(w.organisation.unwrapper, own.wrap, context, {
      ...w.carol.certificate,
      address: CAROL,
    });
    const link: RewrapLink = {
      tenantId: TENANT,
      artifactId: context.artifactId,
      from: { address: ORGANISATION, keyId: context.keyId, wrapHash: wrapHash(own.wrap) },
      to: { address: CAROL, keyId: next.keyId, wrapHash: wrapHash(next.wrap) },
      at: 1,
    };
    const recovered = { ...own, address: CAROL, wrap: next.wrap, links: [await signLink(link, w.identity)] };
    expect((await openCapsule(recovered, w.trusted, w.carol.unwrapper)).dek).toEqual(recoverable.dek);
  });

  it('have an end: 64 links are a chain, 65 are none', async () => {
    const w = await world();
    const sealed = await artifact(w, [w.bob], new Uint8Array(0));
    const { wrap } = first(sealed.capsules);
    const { keyId } = w.bob.unwrapper;
    const end = (i: number, last: number) => ({
      address: BOB,
      keyId,
      wrapHash: i === last ? wrapHash(wrap) : new Uint8Array(32).fill(i),
    });
    const chainOf = (length: number) =>
      Promise.all(
        Array.from({ length }, (_, i) =>
          signLink(
            {
              tenantId: TENANT,
              artifactId: sealed.context.artifactId,
              from: end(i, length),
              to: end(i + 1, length),
              at: i,
            },
            w.identity,
          ),
        ),
      );
    const verify = async (length: number) => {
      const links = await chainOf(length);
      const { statement } = sealed;
      const recipient = { address: BOB, keyId };
      return outcome(() =>
        verifyLinkChain({ statement, wrap, links, identityKey: w.identity.publicKey, recipient }),
      );
    };
    expect(await verify(MAX_LINKS)).toBe('accepted');
    expect(await verify(MAX_LINKS + 1)).toBe('link_chain_broken');
  });
});

describe('capsules', () => {
  it('give their DEK to the recipient, after every check', async () => {
    const w = await world('X-Wing');
    const sealed = await artifact(w, [w.bob, w.carol], new Uint8Array(0));
    for (const capsule of sealed.capsules) {
      const own = capsule.address === BOB ? w.bob : w.carol;
      const opened = await openCapsule(capsule, w.trusted, own.unwrapper);
      expect(opened.dek).toEqual(sealed.dek);
      expect(opened.sealer).toEqual(w.alice.certificate);
    }
  });

  it('are refused when a part of another capsule stands in', async () => {
    const w = await world();
    const one = await artifact(w, [w.bob, w.carol], new Uint8Array(0));
    const two = await artifact(w, [w.bob], new Uint8Array(0));
    const own = first(one.capsules);
    const foreign = first(two.capsules);
    const open = (change: Partial<typeof own>) =>
      outcome(() => openCapsule({ ...own, ...change }, w.trusted, w.bob.unwrapper));
    expect(await open({})).toBe('accepted');
    // The wrap of another artifact, and the statement of another artifact.
    expect(await open({ wrap: foreign.wrap })).toBe('wrap_open_failed');
    expect(await open({ statement: foreign.statement })).toBe('wrap_open_failed');
    // Carol's wrap as Bob's, and Bob's as Carol's.
    expect(await open({ wrap: one.capsules[1]?.wrap ?? own.wrap })).toBe('recipient_mismatch');
    expect(await open({ address: CAROL })).toBe('recipient_mismatch');
    expect(await open({ sealerCertificate: w.bob.certificateBytes })).toBe('signature_invalid');
    const impostor = await world();
    expect(await open({ sealerCertificate: impostor.alice.certificateBytes })).toBe('certificate_invalid');
  });

  it('are refused under another tenant or identity key than the pinned one', async () => {
    const w = await world();
    const { capsules } = await artifact(w, [w.bob], new Uint8Array(0));
    const other = { ...w.trusted, tenantId: OTHER_TENANT };
    expect(await outcome(() => verifyCapsule(first(capsules), other))).toBe('certificate_invalid');
    const key = { ...w.trusted, identityKey: w.alice.signer.publicKey };
    expect(await outcome(() => verifyCapsule(first(capsules), key))).toBe('certificate_invalid');
  });
});
