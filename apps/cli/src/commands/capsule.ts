/** `astis capsule`: what became of an artifact, and ending or moving its release. */
import { CryptoError, verifyObject } from '@astis/crypto';
import type { Artifact, ArtifactId, Statement } from '@astis/protocol';
import { ArtifactListItem, decodeSign1, decodeStatement, fromBase64Url, Page } from '@astis/protocol';
import { revoke as revokeArtifact, setExpiry, show as showArtifact } from '@astis/sdk';
import type { Session } from '../session.ts';
import { UntrustedError, UsageError } from '../terminal/exit.ts';
import { table, time } from '../terminal/output.ts';
import { addresses, artifactId, parseMoment } from '../terminal/values.ts';

function text(artifact: Artifact): string {
  const rows = artifact.capsules.map((capsule) => [
    capsule.address,
    capsule.kind,
    capsule.status,
    time(capsule.expiresAt),
    String(capsule.releases),
    time(capsule.lastReleasedAt),
  ]);
  return [
    `Artifact ${artifact.artifactId}`,
    `Sealed by ${artifact.sealer} on ${time(artifact.sealedAt)}; release ends ${time(artifact.notAfter)} at the latest`,
    ...(artifact.labels.length === 0 ? [] : [`Labels: ${artifact.labels.join(', ')}`]),
    '',
    table(['RECIPIENT', 'KEY', 'STATUS', 'UNTIL', 'RELEASES', 'LAST'], rows),
  ].join('\n');
}

export async function list({ client, output }: Session, options: { readonly limit: string }): Promise<void> {
  const page = await client.get('/v1/artifacts', Page(ArtifactListItem), { limit: options.limit });
  const rows = page.items.map((item) => [
    item.artifactId,
    item.sealer,
    time(item.sealedAt),
    time(item.notAfter),
    item.labels.join(', '),
  ]);
  const shown =
    rows.length === 0
      ? 'Nothing was sealed or received yet.'
      : table(['ARTIFACT', 'SEALER', 'SEALED', 'UNTIL', 'LABELS'], rows);
  output.result(page, shown);
}

export async function show({ client, output }: Session, artifact: string): Promise<void> {
  const found = await showArtifact(client, await artifactId(artifact));
  output.result(found, text(found));
}

export interface SomeRecipients {
  readonly to?: readonly string[];
}

const chosen = ({ to }: SomeRecipients) => (to === undefined || to.length === 0 ? undefined : addresses(to));

export async function revoke(
  { client, output }: Session,
  artifact: string,
  options: SomeRecipients & { readonly reason?: string },
): Promise<void> {
  const done = await revokeArtifact(client, await artifactId(artifact), chosen(options), options.reason);
  output.result(done, text(done));
}

/**
 * The artifact's statement. Past its ceiling it is signed anew by us, so one of ours counts only under our own
 * signature: else a gateway could have us sign a statement of its making.
 */
function statementOf({ client }: Session, id: ArtifactId, artifact: Artifact): Statement {
  const bytes = fromBase64Url(artifact.statement);
  const { address, signer } = client.identity;
  const statement = decodeStatement(decodeSign1(bytes, 'astis/statement').payload);
  if (statement.artifactId !== id)
    throw new UntrustedError('answer_untrusted', 'The gateway answered with another artifact.');
  if (statement.sealer !== address) return statement;
  try {
    verifyObject(bytes, 'astis/statement', signer.publicKey);
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new UntrustedError(
      'signature_invalid',
      'The statement is not signed by your present key, so it is not signed anew. Seal the file again.',
    );
  }
  return statement;
}

/** The end moves to where it is put, in the direction that was asked for. */
export async function setEnd(
  session: Session,
  direction: 'extend' | 'shorten',
  artifact: string,
  until: string,
  options: SomeRecipients,
): Promise<void> {
  const { client, output } = session;
  const end = parseMoment(until);
  const id = await artifactId(artifact);
  const before = await showArtifact(client, id);
  const only = chosen(options);
  const touched = before.capsules.filter(
    ({ address, status }) =>
      status !== 'revoked' && (only === undefined || only.some((each) => each === address)),
  );
  const isWrong = ({ expiresAt }: { readonly expiresAt: string }): boolean =>
    direction === 'extend' ? new Date(expiresAt) > end : new Date(expiresAt) < end;
  const wrong = touched.find(isWrong);
  if (wrong !== undefined) {
    throw new UsageError(
      `For ${wrong.address} release ends ${time(wrong.expiresAt)}; to ${direction} it, give a ${direction === 'extend' ? 'later' : 'sooner'} end.`,
    );
  }
  const done = await setExpiry(client, id, only, end, statementOf(session, id, before));
  output.result(done, text(done));
}
