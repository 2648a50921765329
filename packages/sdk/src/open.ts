/** Opening: ask for the release, believe nothing that does not check out, unwrap the DEK. */
import { checkReceipt, parseVerifierKey } from '@astis/audit';
import type { OpeningKey, SealedHeader } from '@astis/crypto';
import { openCapsule } from '@astis/crypto';
import type { ArtifactId, Receipt, WrapBytes } from '@astis/protocol';
import { equalBytes, fromBase64Url, parseAddress, Release } from '@astis/protocol';
import type { Static } from 'typebox';
import type { Client } from './client.ts';
import { SdkError } from './errors.ts';
import type { PinnedTenant } from './identity.ts';

export interface Opened {
  readonly key: OpeningKey;
  /** Proof that the log has this release. Keep it: it finds a log that was cut short. */
  readonly receipt: Receipt;
}

/** @throws {SdkError} `receipt_invalid` */
function checkOwnReceipt(receipt: Receipt, tenant: PinnedTenant, artifactId: ArtifactId): void {
  try {
    const { event } = checkReceipt(receipt, {
      checkpointKeys: [parseVerifierKey(tenant.checkpointKey)],
      receiptKeys: [parseVerifierKey(tenant.receiptKey)],
    });
    if (event['kind'] === 'release.granted' && event['subject'] === artifactId) return;
  } catch {
    // Said below.
  }
  throw new SdkError('receipt_invalid', 'The receipt does not show this release in the log.');
}

/** Asks for the release of one artifact and checks everything about it. */
export async function requestRelease(
  client: Client,
  artifactId: ArtifactId,
): Promise<Static<typeof Release>> {
  return client.write('POST', '/v1/releases', { artifactId }, Release);
}

/**
 * Opens a released capsule for the envelope with this header.
 *
 * @throws {SdkError} `answer_untrusted`, `receipt_invalid`; CryptoError for a certificate, statement, link or wrap that does not hold
 */
export async function openRelease(
  client: Client,
  { capsule, receipt }: Static<typeof Release>,
  header: SealedHeader,
): Promise<Opened> {
  const { tenant, unwrapper, address } = client.identity;
  const bytes = {
    statement: fromBase64Url(capsule.statement),
    sealerCertificate: fromBase64Url(capsule.sealerCertificate),
    wrap: fromBase64Url(capsule.wrap) as WrapBytes,
    links: capsule.links.map(fromBase64Url),
    address: parseAddress(capsule.address),
  };
  if (bytes.address !== address)
    throw new SdkError('answer_untrusted', "Somebody else's capsule was released.");
  checkOwnReceipt(receipt, tenant, header.header.artifactId);
  const opened = await openCapsule(bytes, tenant, unwrapper);
  const { artifactId, headerHash } = opened.statement;
  if (artifactId !== header.header.artifactId || !equalBytes(headerHash, header.hash)) {
    throw new SdkError('answer_untrusted', 'The capsule is for another artifact than this file.');
  }
  return { key: { dek: opened.dek, statement: opened.statement, sealer: opened.sealer }, receipt };
}
