/** The envelope header together with its bytes and hash, which everything else is bound to. */

import type {
  Address,
  ArtifactId,
  Dek,
  EnvelopeHeader,
  HeaderHash,
  SigningPublicKey,
  TenantId,
} from '@astis/protocol/formats';
import { decodeEnvelopeHeader, encodeEnvelopeHeader } from '@astis/protocol/formats';
import { backend } from '#backend';
import { dekCommitment } from './dek.ts';

export interface SealedHeader {
  readonly header: EnvelopeHeader;
  /** Magic, length and header: how the envelope starts. */
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`. */
  readonly hash: HeaderHash;
}

/** Makes the header of a new artifact. */
export function sealHeader(input: {
  readonly dek: Dek;
  readonly artifactId: ArtifactId;
  readonly tenantId: TenantId;
  readonly sealer: Address;
  readonly sealerKey: SigningPublicKey;
}): SealedHeader {
  const { dek, artifactId, tenantId, sealer, sealerKey } = input;
  const header = { artifactId, tenantId, sealer, sealerKey, commitment: dekCommitment(dek, artifactId) };
  const bytes = encodeEnvelopeHeader(header);
  return { header, bytes, hash: backend.sha256(bytes) as HeaderHash };
}

/** Decodes header bytes (magic to the header's end) and hashes them. @throws ProtocolError */
export function readHeader(bytes: Uint8Array): SealedHeader {
  return { header: decodeEnvelopeHeader(bytes), bytes, hash: backend.sha256(bytes) as HeaderHash };
}
