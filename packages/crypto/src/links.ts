/** Rewrap links: the way from the key that the sealer wrapped to, to the key that a wrap is sealed to now. */
import type {
  Address,
  KeyId,
  RewrapLink,
  Signed,
  SigningPublicKey,
  Statement,
  WrapBytes,
} from '@astis/protocol';
import { encodeLink } from '@astis/protocol';
import { CryptoError } from './errors.ts';
import type { Signer } from './signing.ts';
import { signObject } from './signing.ts';

export const MAX_LINKS = 64;

/** Signed by the organisation's identity key. */
export const signLink = (link: RewrapLink, identity: Signer): Promise<Signed<'astis/rewrap-link'>> =>
  signObject('astis/rewrap-link', encodeLink(link), identity);

/**
 * Checks that this wrap is one that the sealer meant for this recipient: without links the statement names the
 * recipient with this very key; with links, the first starts at a recipient of the statement, each starts where
 * the one before ended, all are signed by the organisation, none changes the address (but from the
 * organisation's own key, which is recovery), and the last ends at this recipient, key and wrap.
 * @throws ProtocolError; CryptoError `recipient_mismatch`, `link_chain_broken`
 */
export function verifyLinkChain(chain: {
  readonly statement: Statement;
  readonly wrap: WrapBytes;
  /** Oldest first. */
  readonly links: readonly Uint8Array[];
  readonly identityKey: SigningPublicKey;
  readonly recipient: { readonly address: Address; readonly keyId: KeyId };
}): void {
  throw new CryptoError('link_chain_broken', `not implemented yet ${chain.links.length}`);
}
