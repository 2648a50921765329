import { randomBytes } from 'node:crypto';
import {
  localSigner,
  localUnwrapper,
  newKemKeyPair,
  newSigningKey,
  openCapsule,
  signCertificate,
} from '@astis/crypto';
import type { Address, CustodyCapsule, KeyCertificate, WrapBytes } from '@astis/protocol';
import { fromBase64Url, kemKeyId, ORGANISATION, toBase64Url } from '@astis/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Deployment } from '../deployment.fixture.ts';
import { newDeployment } from '../deployment.fixture.ts';
import type { Member, Organisation, Sealed } from '../organisation.fixture.ts';
import { HOUR, newOrganisation, now } from '../organisation.fixture.ts';

describe('rewrap', () => {
  let deployment: Deployment;
  let org: Organisation;
  let other: Organisation;
  let sealer: Member;
  let count = 0;

  beforeAll(async () => {
    deployment = await newDeployment();
    await deployment.start();
    [org, other] = await Promise.all([newOrganisation(deployment), newOrganisation(deployment)]);
    sealer = await org.enrol('sealer');
  });
  afterAll(() => deployment.end());

  const rewrap = async (
    target: string,
    capsules: readonly CustodyCapsule[],
    tenantId: string = org.tenantId,
  ) => (await deployment.call('rewrap', { tenantId, targetKeyId: target, capsules: [...capsules] })).results;

  /** How the one capsule ended: `granted`, or the code. */
  const ended = async (target: string, capsule: CustodyCapsule, tenantId: string = org.tenantId) => {
    const [result] = await rewrap(target, [capsule], tenantId);
    return result?.refused ?? 'granted';
  };

  /** Opens what came back on the recipient's own machine, which trusts the pinned identity key alone. */
  const open = async (member: Member, capsule: CustodyCapsule, wrap: string, links: readonly string[]) => {
    const bytes = {
      statement: fromBase64Url(capsule.statement),
      sealerCertificate: fromBase64Url(capsule.sealerCertificate),
      wrap: fromBase64Url(wrap) as WrapBytes,
      links: links.map(fromBase64Url),
      address: member.address,
    };
    const tenant = { tenantId: org.tenantId, identityKey: org.identityKey };
    return openCapsule(bytes, tenant, await localUnwrapper(member.kem.kem, member.kem.privateKey));
  };

  interface Guest {
    readonly address: Address;
    readonly holding: KeyCertificate;
    readonly sealed: Sealed;
    readonly member: Member;
  }

  /** Somebody to whom something was sealed before they enrolled. */
  async function newGuest(changes: Parameters<Organisation['seal']>[2] = {}): Promise<Guest> {
    const name = `guest${count++}`;
    const address = org.address(name);
    const holding = await org.holding(address, sealer);
    const sealed = await org.seal(sealer, [holding], changes);
    return { address, holding, sealed, member: await org.enrol(name) };
  }

  test('a holding key’s wrap is turned to the key of the one who enrolled, and opens there', async () => {
    const { sealed, member, address } = await newGuest();
    const capsule = sealed.capsule(address);
    const [result] = await rewrap(member.kem.keyId, [capsule]);
    expect(result).toMatchObject({ ref: sealed.artifactId });
    const { dek } = await open(member, capsule, result?.wrap ?? '', [result?.link ?? '']);
    expect(dek).toEqual(sealed.dek);
  });

  test.each(['X25519', 'P-256'] as const)('also to a %s key', async (kem) => {
    const name = `guest${count++}`;
    const address = org.address(name);
    const sealed = await org.seal(sealer, [await org.holding(address)]);
    const member = await org.enrol(name, {}, kem);
    const capsule = sealed.capsule(address);
    const [result] = await rewrap(member.kem.keyId, [capsule]);
    const { dek } = await open(member, capsule, result?.wrap ?? '', [result?.link ?? '']);
    expect(dek).toEqual(sealed.dek);
  });

  test('256 at once, each answered by itself and in order, the good ones whatever becomes of the others', async () => {
    const name = `guest${count++}`;
    const address = org.address(name);
    const holding = await org.holding(address);
    const sealed: Sealed[] = [];
    for (let i = 0; i < 256; i++)
      sealed.push(
        await org.seal(sealer, [holding], i % 5 === 0 ? { sealedAt: now() - 60, notAfter: now() - 1 } : {}),
      );
    const member = await org.enrol(name);
    const results = await rewrap(
      member.kem.keyId,
      sealed.map((each) => each.capsule(address)),
    );
    expect(results.map(({ ref }) => ref)).toEqual(sealed.map((each) => each.artifactId));
    expect(results.map(({ refused }) => refused)).toEqual(
      sealed.map((_, i) => (i % 5 === 0 ? 'expired' : undefined)),
    );
    const events = (await deployment.log(org.tenantId)).slice(-256);
    expect(events.map((event) => event['subject'])).toEqual(sealed.map((each) => each.artifactId));
    expect(events.map((event) => event['outcome'])).toEqual(
      sealed.map((_, i) => (i % 5 === 0 ? 'refused' : 'granted')),
    );
    expect(
      await deployment.refusal('rewrap', {
        tenantId: org.tenantId,
        targetKeyId: member.kem.keyId,
        capsules: [...sealed, ...sealed.slice(0, 1)].map((each) => each.capsule(address)),
      }),
    ).toBe('invalid_request');
  });

  describe('a stolen gateway', () => {
    let guest: Guest;
    beforeEach(async () => {
      guest = await newGuest();
    });

    const whole = (targetKeyId: string, capsule: CustodyCapsule, tenantId: string = org.tenantId) =>
      deployment.refusal('rewrap', { tenantId, targetKeyId, capsules: [capsule] });

    test('gets nothing for a key of its own', async () => {
      const own = await newKemKeyPair('X-Wing');
      expect(await whole(own.keyId, guest.sealed.capsule(guest.address))).toBe('target_refused');
    });

    test('gets nothing for a certificate of another organisation, here or there', async () => {
      const accomplice = await other.enrol(`accomplice${count++}`, { address: guest.address });
      const capsule = guest.sealed.capsule(guest.address);
      expect(await whole(accomplice.kem.keyId, capsule)).toBe('target_refused');
      expect(await ended(accomplice.kem.keyId, capsule, other.tenantId)).toBe('certificate_invalid');
    });

    test('gets nothing for another person, whatever address it names', async () => {
      const thief = await org.enrol(`thief${count++}`);
      const capsule = guest.sealed.capsule(guest.address);
      expect(await ended(thief.kem.keyId, capsule)).toBe('target_refused');
      expect(await ended(thief.kem.keyId, { ...capsule, address: thief.address })).toBe('statement_mismatch');
    });

    test('gets nothing for a holding key, a revoked key or one that was followed by a newer', async () => {
      const capsule = guest.sealed.capsule(guest.address);
      const held = await org.holding(org.address(`held${count++}`));
      expect(await whole(kemKeyId(held.kem, held.kemKey), capsule)).toBe('target_refused');
      const name = guest.address.slice(0, guest.address.indexOf('@'));
      const newer = await org.enrol(name);
      expect(await whole(guest.member.kem.keyId, capsule)).toBe('target_refused');
      await deployment.call('key.revoke', {
        tenantId: org.tenantId,
        revocation: await org.revocation(newer),
      });
      expect(await whole(newer.kem.keyId, capsule)).toBe('target_refused');
    });

    test('gets nothing for what is sealed to the organisation, nor for what is sealed to a person', async () => {
      const organisation = await org.recoveryCertificate();
      const toBoth = await org.seal(sealer, [organisation, guest.member.certificate]);
      const thief = await org.enrol(`thief${count++}`);
      expect(await ended(thief.kem.keyId, toBoth.capsule(ORGANISATION))).toBe('target_refused');
      // To a key that isn't in here at all.
      expect(await ended(guest.member.kem.keyId, toBoth.capsule(guest.address))).toBe('target_refused');
    });

    test('can not change a statement, a wrap, or pair them otherwise', async () => {
      const { member, address, sealed, holding } = guest;
      const capsule = sealed.capsule(address);
      const second = (await org.seal(sealer, [holding])).capsule(address);
      const target = member.kem.keyId;
      expect(await ended(target, { ...capsule, wrap: second.wrap })).toBe('wrap_invalid');
      expect(await ended(target, { ...capsule, statement: second.statement })).toBe('wrap_invalid');
      const flipped = (text: string, at: number) => {
        const bytes = fromBase64Url(text);
        const index = at < 0 ? bytes.length + at : at;
        bytes[index] = (bytes[index] ?? 0) ^ 1;
        return toBase64Url(bytes);
      };
      expect(await ended(target, { ...capsule, statement: flipped(capsule.statement, -1) })).toBe(
        'statement_invalid',
      );
      expect(await ended(target, { ...capsule, statement: flipped(capsule.statement, 80) })).not.toBe(
        'granted',
      );
      expect(await ended(target, { ...capsule, wrap: flipped(capsule.wrap, -1) })).toBe('wrap_invalid');
      expect(
        await ended(target, { ...capsule, sealerCertificate: flipped(capsule.sealerCertificate, -1) }),
      ).toBe('certificate_invalid');
    });

    test('can not pass its own statement off as a member’s, nor certify a sealer', async () => {
      const { holding, address, member } = guest;
      const forger = localSigner(newSigningKey());
      const forged = (await org.seal({ ...sealer, signer: forger }, [holding])).capsule(address);
      expect(await ended(member.kem.keyId, forged)).toBe('statement_invalid');
      const self = await signCertificate({ ...sealer.certificate, signingKey: forger.publicKey }, forger);
      expect(await ended(member.kem.keyId, { ...forged, sealerCertificate: toBase64Url(self) })).toBe(
        'certificate_invalid',
      );
      // A member may not name another as the sealer either.
      const lie = await org.seal({ ...guest.member, address: sealer.address }, [holding]);
      expect(await ended(member.kem.keyId, lie.capsule(address))).toBe('statement_mismatch');
    });

    test('can not smuggle a wrap of its own in under a member’s statement', async () => {
      const { holding, address, member, sealed } = guest;
      // A wrap of another DEK with everything else right: the commitment in the statement is another.
      const fake = await org.seal(sealer, [holding], { artifactId: sealed.artifactId });
      const capsule = { ...sealed.capsule(address), wrap: fake.capsule(address).wrap };
      expect(await ended(member.kem.keyId, capsule)).toBe('wrap_invalid');
    });

    test('can not make up links', async () => {
      const { address, member, sealed } = guest;
      const capsule = sealed.capsule(address);
      const [result] = await rewrap(member.kem.keyId, [capsule]);
      const link = result?.link ?? '';
      expect(await ended(member.kem.keyId, { ...capsule, links: [link] })).toBe('statement_mismatch');
      expect(await ended(member.kem.keyId, { ...capsule, links: [toBase64Url(randomBytes(64))] })).toBe(
        'malformed_object',
      );
    });

    test('gets nothing past the statement’s latest expiry', async () => {
      const late = await newGuest({ sealedAt: now() - 100, notAfter: now() });
      expect(await ended(late.member.kem.keyId, late.sealed.capsule(late.address))).toBe('expired');
    });
  });

  describe('a sealer who was removed', () => {
    test('leaves behind what was sealed before; nothing dated from then on is accepted', async () => {
      const leaver = await org.enrol(`leaver${count++}`);
      const name = `guest${count++}`;
      const address = org.address(name);
      const holding = await org.holding(address);
      const moment = now();
      const before = await org.seal(leaver, [holding], { sealedAt: moment - 10 });
      const at = await org.seal(leaver, [holding], { sealedAt: moment });
      const after = await org.seal(leaver, [holding], { sealedAt: moment + 1, notAfter: moment + HOUR });
      const { kem } = await org.enrol(name);
      expect(await ended(kem.keyId, after.capsule(address))).toBe('granted');
      const revocation = await org.revocation(leaver, { at: moment });
      await deployment.call('key.revoke', { tenantId: org.tenantId, revocation });
      expect(await ended(kem.keyId, before.capsule(address))).toBe('granted');
      expect(await ended(kem.keyId, at.capsule(address))).toBe('key_revoked');
      expect(await ended(kem.keyId, after.capsule(address))).toBe('key_revoked');
      // The theft was found to be older than was thought: the earlier date counts, and no later one lifts it.
      await deployment.call('key.revoke', {
        tenantId: org.tenantId,
        revocation: await org.revocation(leaver, { at: moment - 60 }),
      });
      await deployment.call('key.revoke', {
        tenantId: org.tenantId,
        revocation: await org.revocation(leaver, { at: moment }),
      });
      expect(await ended(kem.keyId, before.capsule(address))).toBe('key_revoked');
    });

    test('a statement dated before the sealer’s certificate, or in the future, is refused', async () => {
      const early = await newGuest({ sealedAt: now() - 24 * HOUR });
      expect(await ended(early.member.kem.keyId, early.sealed.capsule(early.address))).toBe(
        'statement_invalid',
      );
      const future = await newGuest({ sealedAt: now() + HOUR, notAfter: now() + 2 * HOUR });
      expect(await ended(future.member.kem.keyId, future.sealed.capsule(future.address))).toBe(
        'statement_invalid',
      );
    });
  });

  test('an unknown target, tenant or an empty batch is refused as a whole', async () => {
    const { sealed, address, member } = await newGuest();
    const capsules = [sealed.capsule(address)];
    const targetKeyId = member.kem.keyId;
    const params = { tenantId: org.tenantId, targetKeyId, capsules };
    expect(await deployment.refusal('rewrap', { ...params, capsules: [] })).toBe('invalid_request');
    expect(await deployment.refusal('rewrap', { ...params, targetKeyId: 'AAAA' })).toBe('malformed_object');
    expect(
      await deployment.refusal('rewrap', { ...params, tenantId: '11111111-1111-4111-8111-111111111111' }),
    ).toBe('not_found');
  });

  test('what is malformed in one capsule refuses that one', async () => {
    const { sealed, address, member } = await newGuest();
    const good = sealed.capsule(address);
    const bad: CustodyCapsule[] = [
      { ...good, ref: 'a', wrap: '' },
      { ...good, ref: 'b', statement: 'AAAA' },
      { ...good, ref: 'c', sealerCertificate: good.statement },
      { ...good, ref: 'd', address: 'Nobody' },
      { ...good, ref: 'e', wrap: `${good.wrap}AAAA` },
    ];
    const results = await rewrap(member.kem.keyId, [...bad, good]);
    expect(results.map(({ refused }) => refused)).toEqual([...bad.map(() => 'malformed_object'), undefined]);
  });
});
