/** `astis open`: asks for the release, checks it, and decrypts here. */
import { erase } from '@astis/crypto';
import { openEnvelopeFile } from '@astis/crypto/files';
import { Artifact } from '@astis/protocol';
import { custodyOrder, openRelease, requestRelease } from '@astis/sdk';
import { keepReceipt } from '@astis/sdk/node';
import type { Session } from '../session.ts';
import { UntrustedError, UsageError } from '../terminal/exit.ts';
import { cancelOnInterrupt, refuseOverwrite } from '../terminal/files.ts';
import { progressBar } from '../terminal/progress.ts';

export interface OpenOptions {
  readonly output?: string;
  readonly force?: boolean;
}

function nameFor(file: string, wanted: string | undefined): string {
  if (wanted !== undefined) return wanted;
  if (file === '-') return '-';
  if (file.endsWith('.astis') && file.length > 6) return file.slice(0, -6);
  throw new UsageError(`${file} does not end in .astis; say where to with -o FILE.`);
}

export async function open(session: Session, file: string, options: OpenOptions): Promise<void> {
  const { client, output, profile } = session;
  const sink = nameFor(file, options.output);
  refuseOverwrite(sink, options.force);
  if (sink === '-' && output.json)
    throw new UsageError('--json writes to stdout, where the content goes; give -o FILE.');
  const cancel = cancelOnInterrupt();
  const bar = progressBar('opening');
  const envelope = await openEnvelopeFile(file === '-' ? process.stdin : file, { signal: cancel.signal });
  try {
    const { header } = envelope.header;
    if (header.tenantId !== client.identity.tenant.tenantId) {
      throw new UntrustedError(
        'other_organisation',
        'This was sealed in another organisation than the one of your profile.',
      );
    }
    const release = await requestRelease(client, header.artifactId);
    const { key, receipt } = await openRelease(client, release, envelope.header);
    keepReceipt(profile, receipt);
    try {
      await envelope.extract({
        ...key,
        sink: sink === '-' ? process.stdout : sink,
        onProgress: (progress) => bar.update(progress),
        signal: cancel.signal,
      });
    } finally {
      erase(key.dek);
    }
    bar.end();
    const { statement } = key;
    const text = `Opened into ${sink}: sealed by ${statement.sealer} on ${new Date(statement.sealedAt * 1000).toISOString()}.`;
    if (sink === '-') output.note(text);
    else
      output.result(
        {
          artifactId: header.artifactId,
          file: sink,
          sealer: statement.sealer,
          labels: statement.labels,
          seq: receipt.seq,
        },
        text,
      );
  } finally {
    bar.end();
    cancel.done();
    await envelope.close();
  }
}

/** `astis organisation recover`: has the organisation's capsule rewrapped to us, then opens as usual. */
export async function recover(session: Session, file: string, options: OpenOptions): Promise<void> {
  const envelope = await openEnvelopeFile(file);
  await envelope.close();
  const order = await custodyOrder(session.client, 'recover', envelope.header.header.artifactId);
  await session.client.write('POST', '/v1/recoveries', { order }, Artifact);
  await open(session, file, options);
}
