/** Who we are: the registered keys and what was pinned when they were registered. */
import type { Signer, Unwrapper } from '@astis/crypto';
import type { Address, PersonId, SigningPrivateKey, SigningPublicKey, TenantId } from '@astis/protocol';

/** What is held to be true whatever a server says later. */
export interface PinnedTenant {
  readonly tenantId: TenantId;
  /** Certifies every key of the organisation. */
  readonly identityKey: SigningPublicKey;
  /** C2SP verifier keys of the log. */
  readonly checkpointKey: string;
  readonly receiptKey: string;
  readonly logOrigin: string;
}

export interface Identity {
  readonly gatewayUrl: string;
  readonly tenant: PinnedTenant;
  readonly personId: PersonId;
  readonly address: Address;
  readonly signer: Signer;
  /** The signer's seed: tokens and proofs are JWTs, which jose signs. */
  readonly signingKey: SigningPrivateKey;
  readonly unwrapper: Unwrapper;
}
