/** Carries out a worker's jobs. All use of private keys is in this file. */
import { checkpointText, formatNote, signatureLine } from '@astis/audit';
import type { Signer } from '@astis/crypto';
import {
  CryptoError,
  erase,
  localSigner,
  localUnwrapper,
  newKemKeyPair,
  newSigningKey,
  signLink,
  signObject,
} from '@astis/crypto';
import type { RootKek } from '@astis/crypto/custody';
import { rewrapDek } from '@astis/crypto/custody';
import type { KemPrivateKey, SigningPrivateKey, TenantId } from '@astis/protocol';
import { decodeCertificate, ProtocolError, utf8, wrapHash } from '@astis/protocol';
import type { Job, JobKind, JobResult, NewKey, RewrapItem, Rewrapped, SealedKey } from './jobs.ts';

/** Lends a private key to `use`, and erases it. */
async function withKey<T>(
  root: RootKek,
  tenantId: TenantId,
  { keyId, purpose, sealed }: SealedKey,
  use: (privateKey: Uint8Array) => Promise<T>,
): Promise<T> {
  const privateKey = await root.unsealKey(sealed, { tenantId, keyId, purpose });
  try {
    return await use(privateKey);
  } finally {
    erase(privateKey);
  }
}

/** The signer's key is a handle of OpenSSL's by the time it is used, so the seed is erased before. */
const signerOf = (root: RootKek, tenantId: TenantId, key: SealedKey): Promise<Signer> =>
  withKey(root, tenantId, key, async (seed) => localSigner(seed as SigningPrivateKey));

async function makeSigningKey(job: Job<'make-signing-key'>, root: RootKek): Promise<NewKey> {
  const { tenantId, purpose } = job;
  const seed = newSigningKey();
  try {
    const { keyId, publicKey } = localSigner(seed);
    return { keyId, publicKey, sealed: await root.sealKey(seed, { tenantId, keyId, purpose }) };
  } finally {
    erase(seed);
  }
}

async function makeKemKey(job: Job<'make-kem-key'>, root: RootKek): Promise<NewKey> {
  const { tenantId, purpose, kem } = job;
  const { keyId, publicKey, privateKey } = await newKemKeyPair(kem);
  try {
    return { keyId, publicKey, sealed: await root.sealKey(privateKey, { tenantId, keyId, purpose }) };
  } finally {
    erase(privateKey);
  }
}

async function certify({ tenantId, identity, payload }: Job<'certify'>, root: RootKek): Promise<Uint8Array> {
  if (decodeCertificate(payload).tenantId !== tenantId)
    throw new CryptoError('certificate_invalid', 'the certificate is of another tenant');
  return signObject('astis/key-certificate', payload, await signerOf(root, tenantId, identity));
}

async function signCheckpoint(job: Job<'sign-checkpoint'>, root: RootKek): Promise<string> {
  const text = checkpointText(job.origin, job.size, job.root);
  const signer = await signerOf(root, job.tenantId, job.checkpoint);
  const signature = await signer.sign(utf8(text));
  return formatNote(text, [signatureLine(job.origin, signer.publicKey, signature)]);
}

/** These say that a wrap is bad; all else is a fault of ours and ends the job. */
const isBadWrap = (error: unknown): boolean =>
  error instanceof ProtocolError ||
  (error instanceof CryptoError &&
    ['wrap_open_failed', 'commitment_mismatch', 'recipient_mismatch'].includes(error.code));

async function rewrap(job: Job<'rewrap'>, root: RootKek): Promise<readonly Rewrapped[]> {
  const { tenantId, from, identity, to, items, at } = job;
  const signer = await signerOf(root, tenantId, identity);
  const unwrapper = await withKey(root, tenantId, from, (privateKey) =>
    localUnwrapper(from.kem, privateKey as KemPrivateKey),
  );
  const one = async ({ wrap, context }: RewrapItem): Promise<Rewrapped> => {
    try {
      const next = await rewrapDek(unwrapper, wrap, context, to);
      const link = await signLink(
        {
          tenantId,
          artifactId: context.artifactId,
          from: { address: context.address, keyId: context.keyId, wrapHash: wrapHash(wrap) },
          to: { address: next.address, keyId: next.keyId, wrapHash: wrapHash(next.wrap) },
          at,
        },
        signer,
      );
      return { wrap: next.wrap, link };
    } catch (error) {
      if (!isBadWrap(error)) throw error;
      return { refused: 'wrap_invalid' };
    }
  };
  const results: Rewrapped[] = [];
  // One after another: one DEK at a time is in memory.
  for (const item of items) results.push(await one(item));
  return results;
}

async function probe({ tenantId, key }: Job<'probe'>, root: RootKek): Promise<boolean> {
  try {
    return await withKey(root, tenantId, key, async () => true);
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'sealed_key_open_failed') return false;
    throw error;
  }
}

/** @throws CryptoError `sealed_key_open_failed` when the root key is another one, `key_invalid` for a bad target */
export function perform(job: Job, root: RootKek): Promise<JobResult<JobKind>> {
  switch (job.kind) {
    case 'make-signing-key':
      return makeSigningKey(job, root);
    case 'make-kem-key':
      return makeKemKey(job, root);
    case 'certify':
      return certify(job, root);
    case 'sign-checkpoint':
      return signCheckpoint(job, root);
    case 'rewrap':
      return rewrap(job, root);
    case 'probe':
      return probe(job, root);
  }
}
