/** Runs in a real browser, loaded by chromium.test.ts: the published vectors and a round trip of our own. */
import type {
  Dek,
  KemPrivateKey,
  SigningPrivateKey,
  SigningPublicKey,
  WrapBytes,
} from '@astis/protocol/formats';
import { fromBase64Url, parseAddress, parseArtifactId, parseTenantId, toHex } from '@astis/protocol/formats';
import { backend } from '#backend';
import capsuleVector from '../../../protocol/vectors/capsule.json' with { type: 'json' };
import envelopeVector from '../../../protocol/vectors/envelope.json' with { type: 'json' };
import keyVector from '../../../protocol/vectors/keys.json' with { type: 'json' };
import {
  kemKeyPair,
  localSigner,
  localUnwrapper,
  openCapsule,
  openEnvelope,
  sealEnvelope,
  sealHeader,
  sourceOf,
} from '../index.ts';
import { patternBytes } from '../node/vectors/pattern.ts';

const hex = <T extends Uint8Array>(text: string): T =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)) as T;

export async function run() {
  const kemKeyIds = keyVector.kem.map(({ kem, privateKey }) => {
    if (kem !== 'X-Wing' && kem !== 'X25519' && kem !== 'P-256') throw new Error('unknown KEM');
    return kemKeyPair(kem, hex<KemPrivateKey>(privateKey)).keyId;
  });

  const dek = hex<Dek>(envelopeVector.dek);
  const signer = localSigner(hex<SigningPrivateKey>(envelopeVector.sealerSeed));
  const header = sealHeader({
    dek,
    artifactId: parseArtifactId(envelopeVector.artifactId),
    tenantId: parseTenantId(envelopeVector.tenantId),
    sealer: parseAddress(envelopeVector.sealer),
    sealerKey: signer.publicKey,
  });
  const trusted = {
    tenantId: parseTenantId(capsuleVector.tenantId),
    identityKey: hex<SigningPublicKey>(capsuleVector.identityKey),
  };
  const deks: string[] = [];
  const opened: number[] = [];
  const envelopes: string[] = [];
  for (const [kem, opening] of [
    ['X25519', capsuleVector.asSealed],
    ['X-Wing', capsuleVector.rewrapped],
  ] as const) {
    const capsule = {
      statement: hex(capsuleVector.statement),
      sealerCertificate: hex(capsuleVector.sealerCertificate),
      address: parseAddress(capsuleVector.address),
      wrap: hex<WrapBytes>(opening.wrap),
      links: opening.links.map((link) => hex(link)),
    };
    const unwrapper = await localUnwrapper(kem, hex<KemPrivateKey>(opening.privateKey));
    const key = await openCapsule(capsule, trusted, unwrapper);
    deks.push(toHex(key.dek));
    for (const { plaintextBytes } of envelopeVector.envelopes) {
      const envelope = await sealEnvelope(patternBytes(plaintextBytes), header, dek, signer);
      envelopes.push(toHex(backend.sha256(envelope)));
      const reader = await openEnvelope(sourceOf(envelope), key);
      opened.push((await reader.read(0, plaintextBytes)).length);
    }
  }
  return {
    node: 'process' in globalThis,
    artifactBytes: fromBase64Url(envelopeVector.artifactId).length,
    kemKeyIds,
    deks,
    envelopes,
    opened,
  };
}
