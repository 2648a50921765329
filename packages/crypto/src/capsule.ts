/** A released capsule as a whole: everything that is checked before its DEK is used, in one order. */
import type {
  Address,
  Dek,
  KeyCertificate,
  SigningPublicKey,
  Statement,
  TenantId,
  WrapBytes,
  WrapContext,
} from '@astis/protocol/formats';
import { decodeWrap } from '@astis/protocol/formats';
import { verifyCertificate } from './identity.ts';
import type { Unwrapper } from './kem.ts';
import { verifyLinkChain } from './links.ts';
import { verifyStatement } from './statements.ts';
import { unwrapDek } from './wraps.ts';

/** A capsule as it is released to its recipient and shown to the CVS, in bytes. */
export interface CapsuleBytes {
  readonly statement: Uint8Array;
  readonly sealerCertificate: Uint8Array;
  readonly wrap: WrapBytes;
  /** Oldest first. */
  readonly links: readonly Uint8Array[];
  /** Whom the wrap is to. */
  readonly address: Address;
}

/** What the verifier holds to be true already: pinned, not told by the server that sent the capsule. */
export interface TrustedTenant {
  readonly tenantId: TenantId;
  readonly identityKey: SigningPublicKey;
}

export interface VerifiedCapsule {
  readonly statement: Statement;
  readonly sealer: KeyCertificate;
  /** What the wrap must be opened under. */
  readonly context: WrapContext;
}

/**
 * Checks, in this order: the sealer's certificate, the statement, the link chain to this wrap. Opens nothing;
 * TTL and revocation of certificates are the caller's to check.
 * @throws ProtocolError; CryptoError `certificate_invalid`, `signature_invalid`, `statement_mismatch`,
 * `recipient_mismatch`, `link_chain_broken`
 */
export function verifyCapsule(capsule: CapsuleBytes, tenant: TrustedTenant): VerifiedCapsule {
  const sealer = verifyCertificate(capsule.sealerCertificate, tenant.identityKey, tenant.tenantId);
  const statement = verifyStatement(capsule.statement, sealer);
  const { keyId } = decodeWrap(capsule.wrap);
  const { address, wrap, links } = capsule;
  verifyLinkChain({ statement, wrap, links, identityKey: tenant.identityKey, recipient: { address, keyId } });
  const { artifactId, headerHash, commitment, tenantId } = statement;
  return { statement, sealer, context: { artifactId, headerHash, commitment, tenantId, address, keyId } };
}

/** {@link verifyCapsule}, and then the DEK. @throws also what {@link unwrapDek} throws */
export async function openCapsule(
  capsule: CapsuleBytes,
  tenant: TrustedTenant,
  unwrapper: Unwrapper,
): Promise<VerifiedCapsule & { readonly dek: Dek }> {
  const verified = verifyCapsule(capsule, tenant);
  return { ...verified, dek: await unwrapDek(capsule.wrap, unwrapper, verified.context) };
}
