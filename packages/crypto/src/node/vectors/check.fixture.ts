/** The published vectors against whatever backend `#backend` stands for in the test that runs this. */
import { readFileSync } from 'node:fs';
import type {
  Address,
  ArtifactId,
  Dek,
  DekCommitment,
  HeaderHash,
  KemName,
  KemPrivateKey,
  KeyId,
  SigningPrivateKey,
  SigningPublicKey,
  TenantId,
  WrapBytes,
} from '@astis/protocol/formats';
import { decodeSign1, decodeStatement, equalBytes, toHex } from '@astis/protocol/formats';
import { expect, it } from 'vitest';
import { openCapsule } from '../../capsule.ts';
import type { KeyPurpose } from '../../custody.ts';
import { rootKek } from '../../custody.ts';
import { dekCommitment, payloadKeyBytes } from '../../dek.ts';
import { openEnvelope, sealEnvelope, sourceOf } from '../../envelope.ts';
import { readHeader, sealHeader } from '../../header.ts';
import { verifyEnrolment } from '../../identity.ts';
import { kemKeyPair, localUnwrapper } from '../../kem.ts';
import { localSigner, signObject, verifyObject } from '../../signing.ts';
import { signStatement } from '../../statements.ts';
import { openChallenge, unwrapDek } from '../../wraps.ts';
import { patternBytes } from './pattern.ts';

const read = <T>(name: string): T =>
  JSON.parse(
    readFileSync(new URL(`../../../../protocol/vectors/${name}.json`, import.meta.url), 'utf8'),
  ) as T;
const hex = <T extends Uint8Array = Uint8Array>(text: string): T =>
  Uint8Array.from(Buffer.from(text, 'hex')) as T;

interface Keys {
  readonly signing: readonly { readonly seed: string; readonly publicKey: string; readonly keyId: string }[];
  readonly kem: readonly {
    readonly kem: KemName;
    readonly privateKey: string;
    readonly publicKey: string;
    readonly keyId: string;
  }[];
}
interface Envelopes {
  readonly dek: string;
  readonly artifactId: ArtifactId;
  readonly tenantId: TenantId;
  readonly sealer: Address;
  readonly sealerSeed: string;
  readonly commitment: string;
  readonly header: string;
  readonly headerHash: string;
  readonly payloadKey: string;
  readonly envelopes: readonly {
    readonly plaintextBytes: number;
    readonly envelopeBytes: number;
    readonly chunkHashes: string;
    readonly signature: string;
    readonly envelopeSha256: string;
    readonly envelope?: string;
  }[];
}
interface Wraps {
  readonly dek: string;
  readonly artifactId: ArtifactId;
  readonly tenantId: TenantId;
  readonly headerHash: string;
  readonly commitment: string;
  readonly wraps: readonly {
    readonly kem: KemName;
    readonly privateKey: string;
    readonly address: Address;
    readonly keyId: KeyId;
    readonly wrap: string;
  }[];
}
interface Signed {
  readonly signerSeed: string;
  readonly type: Parameters<typeof signObject>[0];
  readonly payload: string;
  readonly signed: string;
}
interface Identity {
  readonly objects: readonly Signed[];
  readonly enrolment: { readonly enrolmentSeed: string; readonly signed: string };
  readonly challenges: readonly {
    readonly kem: KemName;
    readonly privateKey: string;
    readonly enc: string;
    readonly ciphertext: string;
    readonly answer: string;
  }[];
}
interface CapsuleVector {
  readonly tenantId: TenantId;
  readonly identityKey: string;
  readonly sealerCertificate: string;
  readonly statement: string;
  readonly address: Address;
  readonly dek: string;
  readonly asSealed: Opening;
  readonly rewrapped: Opening;
}
interface Opening {
  readonly kem: KemName;
  readonly privateKey: string;
  readonly wrap: string;
  readonly links: readonly string[];
}
interface SealedKey {
  readonly rootKek: string;
  readonly tenantId: TenantId;
  readonly keyId: KeyId;
  readonly purpose: KeyPurpose;
  readonly sealed: string;
  readonly privateKey: string;
}

export function checkVectors(sha256: (bytes: Uint8Array) => Uint8Array): void {
  it('keys and their ids', () => {
    const { signing, kem } = read<Keys>('keys');
    for (const { seed, publicKey, keyId } of signing) {
      const signer = localSigner(hex<SigningPrivateKey>(seed));
      expect([toHex(signer.publicKey), signer.keyId]).toEqual([publicKey, keyId]);
    }
    for (const { kem: name, privateKey, publicKey, keyId } of kem) {
      const pair = kemKeyPair(name, hex<KemPrivateKey>(privateKey));
      expect([toHex(pair.publicKey), pair.keyId]).toEqual([publicKey, keyId]);
    }
    expect(kem.length).toBe(3);
  });

  it('envelopes, byte for byte, and back', async () => {
    const vector = read<Envelopes>('envelope');
    const dek = hex<Dek>(vector.dek);
    const signer = localSigner(hex<SigningPrivateKey>(vector.sealerSeed));
    const { artifactId, tenantId, sealer } = vector;
    const header = sealHeader({ dek, artifactId, tenantId, sealer, sealerKey: signer.publicKey });
    expect(toHex(header.bytes)).toBe(vector.header);
    expect(toHex(header.hash)).toBe(vector.headerHash);
    expect(toHex(dekCommitment(dek, artifactId))).toBe(vector.commitment);
    expect(toHex(payloadKeyBytes(dek, header.hash))).toBe(vector.payloadKey);
    expect(readHeader(hex(vector.header))).toEqual(header);
    const statement = decodeStatement(
      decodeSign1(hex(read<{ readonly signed: string }>('statement').signed), 'astis/statement').payload,
    );
    for (const expected of vector.envelopes) {
      const plaintext = patternBytes(expected.plaintextBytes);
      const envelope = await sealEnvelope(plaintext, header, dek, signer);
      expect(envelope.length).toBe(expected.envelopeBytes);
      expect(toHex(envelope.subarray(-64))).toBe(expected.signature);
      expect(toHex(sha256(envelope))).toBe(expected.envelopeSha256);
      if (expected.envelope !== undefined) expect(toHex(envelope)).toBe(expected.envelope);
      const certificate = { ...(await aCertificate()), signingKey: signer.publicKey };
      const reader = await openEnvelope(sourceOf(envelope), { dek, statement, sealer: certificate });
      expect(equalBytes(await reader.read(0, reader.plaintextBytes), plaintext)).toBe(true);
    }
    expect(vector.envelopes.length).toBeGreaterThan(5);
  });

  it('wraps under each KEM', async () => {
    const { dek, artifactId, tenantId, headerHash, commitment, wraps } = read<Wraps>('wrap');
    for (const { kem, privateKey, address, keyId, wrap } of wraps) {
      const context = {
        artifactId,
        tenantId,
        headerHash: hex<HeaderHash>(headerHash),
        commitment: hex<DekCommitment>(commitment),
        address,
        keyId,
      };
      const unwrapper = await localUnwrapper(kem, hex<KemPrivateKey>(privateKey));
      expect(toHex(await unwrapDek(hex<WrapBytes>(wrap), unwrapper, context))).toBe(dek);
    }
    expect(wraps.length).toBe(3);
  });

  it('the statement, signed to the same bytes', async () => {
    const { signed, payload, sealerSeed } = read<{ signed: string; payload: string; sealerSeed: string }>(
      'statement',
    );
    const signer = localSigner(hex<SigningPrivateKey>(sealerSeed));
    expect(toHex(await signStatement(decodeStatement(hex(payload)), signer))).toBe(signed);
  });

  it('certificates, grants, registrations, revocations and orders, signed to the same bytes', async () => {
    const { objects, enrolment, challenges } = read<Identity>('identity');
    for (const { type, payload, signed, signerSeed } of objects) {
      const signer = localSigner(hex<SigningPrivateKey>(signerSeed));
      expect(toHex(await signObject(type, hex(payload), signer))).toBe(signed);
      expect(toHex(verifyObject(hex(signed), type, signer.publicKey))).toBe(payload);
    }
    const enrolmentKey = localSigner(hex<SigningPrivateKey>(enrolment.enrolmentSeed)).publicKey;
    expect(verifyEnrolment(hex(enrolment.signed), enrolmentKey).address).toBe('bob@example.org');
    for (const { kem, privateKey, enc, ciphertext, answer } of challenges) {
      const unwrapper = await localUnwrapper(kem, hex<KemPrivateKey>(privateKey));
      expect(toHex(await openChallenge({ enc: hex(enc), ciphertext: hex(ciphertext) }, unwrapper))).toBe(
        answer,
      );
    }
    expect([objects.length, challenges.length]).toEqual([7, 3]);
  });

  it('a capsule as it was sealed, and after a rewrap', async () => {
    const vector = read<CapsuleVector>('capsule');
    const trusted = { tenantId: vector.tenantId, identityKey: hex<SigningPublicKey>(vector.identityKey) };
    for (const { kem, privateKey, wrap, links } of [vector.asSealed, vector.rewrapped]) {
      const capsule = {
        statement: hex(vector.statement),
        sealerCertificate: hex(vector.sealerCertificate),
        address: vector.address,
        wrap: hex<WrapBytes>(wrap),
        links: links.map((link) => hex(link)),
      };
      const unwrapper = await localUnwrapper(kem, hex<KemPrivateKey>(privateKey));
      expect(toHex((await openCapsule(capsule, trusted, unwrapper)).dek)).toBe(vector.dek);
    }
  });

  it('a private key at rest', async () => {
    const { rootKek: raw, tenantId, keyId, purpose, sealed, privateKey } = read<SealedKey>('sealed-key');
    const root = await rootKek(hex(raw));
    expect(toHex(await root.unsealKey(hex(sealed), { tenantId, keyId, purpose }))).toBe(privateKey);
  });
}

async function aCertificate() {
  const vector = read<CapsuleVector>('capsule');
  const { verifyCertificate } = await import('../../identity.ts');
  return verifyCertificate(
    hex(vector.sealerCertificate),
    hex<SigningPublicKey>(vector.identityKey),
    vector.tenantId,
  );
}
