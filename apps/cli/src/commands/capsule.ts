/** `astis capsule`: what became of an artifact, and ending or moving its release. */
import type { Artifact } from '@astis/protocol';
import { ArtifactListItem, decodeSign1, decodeStatement, fromBase64Url, Page } from '@astis/protocol';
import { revoke as revokeArtifact, setExpiry, show as showArtifact } from '@astis/sdk';
import type { Session } from '../session.ts';
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

/** Both `extend` and `shorten`: the end moves to where it is put. */
export async function setEnd(
  { client, output }: Session,
  artifact: string,
  until: string,
  options: SomeRecipients,
): Promise<void> {
  const id = await artifactId(artifact);
  const before = await showArtifact(client, id);
  const statement = decodeStatement(decodeSign1(fromBase64Url(before.statement), 'astis/statement').payload);
  const done = await setExpiry(client, id, chosen(options), parseMoment(until), statement);
  output.result(done, text(done));
}
