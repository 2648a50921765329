/** The DEK of an artifact and what is derived from it (HKDF-SHA256, RFC 5869). */

import type { ArtifactId, Dek, DekCommitment, HeaderHash } from '@astis/protocol/formats';
import { artifactIdText, equalBytes, fromBase64Url, utf8 } from '@astis/protocol/formats';
import { backend } from '#backend';
import { CryptoError } from './errors.ts';

export const DEK_BYTES = 32;
const COMMITMENT_INFO = utf8('astis/v1 commitment');
const PAYLOAD_INFO = utf8('astis/v1 payload');

export const newDek = (): Dek => backend.randomBytes(DEK_BYTES) as Dek;

export const newArtifactId = (): ArtifactId => artifactIdText(backend.randomBytes(16));

/** HKDF(ikm = DEK, salt = artifact id, info = "astis/v1 commitment"): fixes the one DEK of an artifact. */
export const dekCommitment = (dek: Dek, artifactId: ArtifactId): DekCommitment =>
  backend.hkdfSha256(dek, fromBase64Url(artifactId), COMMITMENT_INFO, 32) as DekCommitment;

/** @throws CryptoError `commitment_mismatch` */
export function checkCommitment(dek: Dek, artifactId: ArtifactId, commitment: DekCommitment): void {
  if (!equalBytes(dekCommitment(dek, artifactId), commitment))
    throw new CryptoError('commitment_mismatch', 'the key is not the one that the artifact commits to');
}

/** HKDF(ikm = DEK, salt = header hash, info = "astis/v1 payload"): the AES-256-GCM key of the chunks. */
export const payloadKeyBytes = (dek: Dek, headerHash: HeaderHash): Uint8Array =>
  backend.hkdfSha256(dek, headerHash, PAYLOAD_INFO, 32);

/**
 * Overwrites a secret. Best effort: a JavaScript runtime may have copied it before (garbage collection,
 * structured clones, the inside of native calls).
 */
export function erase(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
