import type { KeyRegistration, SignedType, SigningPrivateKey } from '@astis/protocol/formats';
import { decodeSign1, encodeRegistration, encodeSign1 } from '@astis/protocol/formats';
import { describe, expect, it } from 'vitest';
import { signEnrolment, verifyCertificate, verifyEnrolment } from './identity.ts';
import { outcome } from './outcome.fixture.ts';
import { localSigner, newSigningKey, signingPublicKey, signObject, verifyObject } from './signing.ts';
import { signStatement, verifyStatement } from './statements.ts';
import { ALICE, artifact, BOB, flipped, OTHER_TENANT, TENANT, world } from './world.fixture.ts';

const signer = localSigner(newSigningKey());
const other = localSigner(newSigningKey());
const payload = Uint8Array.of(1, 2, 3);

describe('signed objects', () => {
  it('give back their payload under the right key and type', async () => {
    const bytes = await signObject('astis/enrolment-grant', payload, signer);
    expect(verifyObject(bytes, 'astis/enrolment-grant', signer.publicKey)).toEqual(payload);
  });

  it('are refused under another key, also where they claim to be its', async () => {
    const bytes = await signObject('astis/enrolment-grant', payload, signer);
    expect(await outcome(() => verifyObject(bytes, 'astis/enrolment-grant', other.publicKey))).toBe(
      'signature_invalid',
    );
    const claimed = encodeSign1({ ...decodeSign1(bytes, 'astis/enrolment-grant'), keyId: other.keyId });
    expect(await outcome(() => verifyObject(claimed, 'astis/enrolment-grant', other.publicKey))).toBe(
      'signature_invalid',
    );
    expect(await outcome(() => verifyObject(claimed, 'astis/enrolment-grant', signer.publicKey))).toBe(
      'signature_invalid',
    );
  });

  it('are refused when they name another key than the one that signed', async () => {
    const bytes = await signObject('astis/enrolment-grant', payload, { ...signer, keyId: other.keyId });
    for (const { publicKey } of [signer, other])
      expect(await outcome(() => verifyObject(bytes, 'astis/enrolment-grant', publicKey))).toBe(
        'signature_invalid',
      );
  });

  it('are refused as another type: relabelled, the signature no longer holds', async () => {
    const bytes = await signObject('astis/enrolment-grant', payload, signer);
    expect(await outcome(() => verifyObject(bytes, 'astis/key-revocation', signer.publicKey))).toBe(
      'wrong_type',
    );
    const type: SignedType = 'astis/key-revocation';
    const relabelled = encodeSign1({ ...decodeSign1(bytes, 'astis/enrolment-grant'), type });
    expect(await outcome(() => verifyObject(relabelled, type, signer.publicKey))).toBe('signature_invalid');
  });

  it('refuse every changed byte', async () => {
    const bytes = await signObject('astis/statement', payload, signer);
    for (let at = 0; at < bytes.length; at++)
      for (let bit = 0; bit < 8; bit++)
        expect(
          await outcome(() => verifyObject(flipped(bytes, at, bit), 'astis/statement', signer.publicKey)),
          `byte ${at}, bit ${bit}`,
        ).not.toBe('accepted');
  });

  it('need a seed of 32 bytes', async () => {
    for (const length of [0, 31, 33, 64])
      expect(await outcome(() => signingPublicKey(new Uint8Array(length) as SigningPrivateKey))).toBe(
        'key_invalid',
      );
  });
});

describe('statements', () => {
  it('hold under the certificate of their sealer only', async () => {
    const w = await world();
    const { statement, statementBytes } = await artifact(w, [w.bob], new Uint8Array(0));
    expect(verifyStatement(statementBytes, w.alice.certificate)).toEqual(statement);
    expect(await outcome(() => verifyStatement(statementBytes, w.bob.certificate))).toBe('signature_invalid');
    expect(await outcome(() => verifyStatement(statementBytes, w.organisation.certificate))).toBe(
      'certificate_invalid',
    );
  });

  it("are refused when they name another sealer or tenant than the signer's", async () => {
    const w = await world();
    const { statement } = await artifact(w, [w.bob], new Uint8Array(0));
    const asBob = await signStatement({ ...statement, sealer: BOB }, w.alice.signer);
    expect(await outcome(() => verifyStatement(asBob, w.alice.certificate))).toBe('statement_mismatch');
    const elsewhere = await signStatement({ ...statement, tenantId: OTHER_TENANT }, w.alice.signer);
    expect(await outcome(() => verifyStatement(elsewhere, w.alice.certificate))).toBe('statement_mismatch');
  });
});

describe('certificates', () => {
  it("hold under the organisation's key and for its tenant only", async () => {
    const w = await world();
    const { certificate, certificateBytes } = w.bob;
    expect(verifyCertificate(certificateBytes, w.identity.publicKey, TENANT)).toEqual(certificate);
    // A key swapped by the server: certified by a key that isn't the organisation's.
    expect(await outcome(() => verifyCertificate(certificateBytes, other.publicKey, TENANT))).toBe(
      'certificate_invalid',
    );
    expect(await outcome(() => verifyCertificate(certificateBytes, w.identity.publicKey, OTHER_TENANT))).toBe(
      'certificate_invalid',
    );
    for (let at = 0; at < certificateBytes.length; at++)
      expect(
        await outcome(() => verifyCertificate(flipped(certificateBytes, at), w.identity.publicKey, TENANT)),
      ).not.toBe('accepted');
  });
});

describe('enrolment', () => {
  const enrolment = localSigner(newSigningKey());
  const newcomer = localSigner(newSigningKey());
  const registration: KeyRegistration = {
    tenantId: TENANT,
    address: ALICE,
    signingKey: newcomer.publicKey,
    kem: 'X25519',
    kemKey: new Uint8Array(32).fill(9) as KeyRegistration['kemKey'],
    challengeAnswer: new Uint8Array(32),
    at: 1,
  };

  it('is signed by the new key and by the enrolment key', async () => {
    const bytes = await signEnrolment(registration, newcomer, enrolment);
    expect(verifyEnrolment(bytes, enrolment.publicKey)).toEqual(registration);
  });

  it('is refused without either: a stolen code registers no key of somebody else', async () => {
    const stolen = await signEnrolment(registration, newcomer, other);
    expect(await outcome(() => verifyEnrolment(stolen, enrolment.publicKey))).toBe('signature_invalid');
    // The enrolment key vouches for a signing key whose private half nobody has shown.
    const unproven = await signEnrolment(registration, other, enrolment);
    expect(await outcome(() => verifyEnrolment(unproven, enrolment.publicKey))).toBe('signature_invalid');
    const inner = await signObject('astis/enrolment-grant', encodeRegistration(registration), newcomer);
    const wrongKind = await signObject('astis/enrolment', inner, enrolment);
    expect(await outcome(() => verifyEnrolment(wrongKind, enrolment.publicKey))).toBe('wrong_type');
  });
});
