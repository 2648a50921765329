/** Rewrap links: the way from the key that the sealer wrapped to, to the key that a wrap is sealed to now. */
import type {
  Address,
  KeyId,
  RewrapLink,
  Signed,
  SigningPublicKey,
  Statement,
  WrapBytes,
} from '@astis/protocol/formats';
import {
  decodeLink,
  decodeWrap,
  encodeLink,
  equalBytes,
  ORGANISATION,
  wrapHash,
} from '@astis/protocol/formats';
import { CryptoError } from './errors.ts';
import type { Signer } from './signing.ts';
import { signObject, verifyObject } from './signing.ts';

export const MAX_LINKS = 64;

/** Signed by the organisation's identity key. */
export const signLink = (link: RewrapLink, identity: Signer): Promise<Signed<'astis/rewrap-link'>> =>
  signObject('astis/rewrap-link', encodeLink(link), identity);

export interface LinkChain {
  readonly statement: Statement;
  readonly wrap: WrapBytes;
  /** Oldest first. */
  readonly links: readonly Uint8Array[];
  readonly identityKey: SigningPublicKey;
  readonly recipient: { readonly address: Address; readonly keyId: KeyId };
}

const broken = (why: string): CryptoError => new CryptoError('link_chain_broken', `rewrap link: ${why}`);

function readLink(bytes: Uint8Array, identityKey: SigningPublicKey, statement: Statement): RewrapLink {
  let link: RewrapLink;
  try {
    link = decodeLink(verifyObject(bytes, 'astis/rewrap-link', identityKey));
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw broken('not signed by the organisation');
  }
  if (link.tenantId !== statement.tenantId || link.artifactId !== statement.artifactId)
    throw broken('of another artifact or tenant');
  // Recovery is the one way from one address to another, and it starts at the organisation's own key.
  if (link.from.address !== link.to.address && link.from.address !== ORGANISATION)
    throw broken('leads from one recipient to another');
  return link;
}

const sameEnd = (a: RewrapLink['to'], b: RewrapLink['from']): boolean =>
  a.address === b.address && a.keyId === b.keyId && equalBytes(a.wrapHash, b.wrapHash);

/**
 * Checks that this wrap is one that the sealer meant for this recipient: without links the statement names the
 * recipient with this very key; with links, the first starts at a recipient of the statement, each starts where
 * the one before ended, all are signed by the organisation, none changes the address (but from the
 * organisation's own key, which is recovery), and the last ends at this recipient, key and wrap.
 * @throws ProtocolError; CryptoError `recipient_mismatch`, `link_chain_broken`
 */
export function verifyLinkChain({ statement, wrap, links, identityKey, recipient }: LinkChain): void {
  if (decodeWrap(wrap).keyId !== recipient.keyId)
    throw new CryptoError('recipient_mismatch', 'the wrap is to another key than the recipient has');
  if (links.length > MAX_LINKS) throw broken(`more than ${MAX_LINKS}`);
  const chain = links.map((bytes) => readLink(bytes, identityKey, statement));
  const [first] = chain;
  const start = first === undefined ? recipient : first.from;
  if (!statement.recipients.some(({ address, keyId }) => address === start.address && keyId === start.keyId))
    throw new CryptoError('recipient_mismatch', 'the statement does not name this recipient with this key');
  let end = first?.from;
  for (const link of chain) {
    if (end === undefined || !sameEnd(end, link.from))
      throw broken('does not start where the one before ended');
    end = link.to;
  }
  if (end !== undefined && !sameEnd(end, { ...recipient, wrapHash: wrapHash(wrap) }))
    throw broken('does not end at this wrap');
}
