/** `astis open`: asks for the release, checks it, and decrypts here. */
import { erase } from '@astis/crypto';
import type { EnvelopeFile } from '@astis/crypto/files';
import { openEnvelopeFile } from '@astis/crypto/files';
import { Artifact } from '@astis/protocol';
import { custodyOrder, openRelease, requestRelease } from '@astis/sdk';
import { keepReceipt } from '@astis/sdk/node';
import type { Session } from '../session.ts';
import { UntrustedError, UsageError } from '../terminal/exit.ts';
import { cancelOnInterrupt, checkReadable, refuseOverwrite } from '../terminal/files.ts';
import { progressBar } from '../terminal/progress.ts';

export interface OpenOptions {
  readonly output?: string;
  readonly force?: boolean;
}

const SUFFIX = '.astis';

function nameFor(file: string, wanted: string | undefined): string {
  if (wanted !== undefined) return wanted;
  if (file === '-') return '-';
  if (file.endsWith(SUFFIX) && file.length > SUFFIX.length) return file.slice(0, -SUFFIX.length);
  throw new UsageError(`${file} does not end in ${SUFFIX}; say where to with -o FILE.`);
}

async function extract(
  { client, output, profile }: Session,
  envelope: EnvelopeFile,
  sink: string,
  signal: AbortSignal,
): Promise<void> {
  const { header } = envelope.header;
  if (header.tenantId !== client.identity.tenant.tenantId) {
    throw new UntrustedError(
      'other_organisation',
      'This was sealed in another organisation than the one of your profile; choose another with --profile.',
    );
  }
  const release = await requestRelease(client, header.artifactId);
  const { key, receipt } = await openRelease(client, release, envelope.header);
  // On disk before there is any plaintext: whoever read it can show that the log must have the release.
  keepReceipt(profile, receipt);
  const bar = progressBar('opening', output.json);
  try {
    await envelope.extract({
      ...key,
      sink: sink === '-' ? process.stdout : sink,
      onProgress: (progress) => bar.update(progress),
      signal,
    });
  } finally {
    bar.end();
    erase(key.dek);
  }
  const { sealer, sealedAt, labels } = key.statement;
  const sealed = new Date(sealedAt * 1000).toISOString();
  const result = {
    artifactId: header.artifactId,
    file: sink,
    sealer,
    sealedAt: sealed,
    labels,
    seq: receipt.seq,
  };
  const text = `Opened${sink === '-' ? '' : ` into ${sink}`}: sealed by ${sealer} on ${sealed}.`;
  if (sink === '-') output.aside(result, text);
  else output.result(result, text);
}

export async function open(session: Session, file: string, options: OpenOptions): Promise<void> {
  const sink = nameFor(file, options.output);
  refuseOverwrite(sink, options.force);
  checkReadable(file);
  const cancel = cancelOnInterrupt();
  try {
    const envelope = await openEnvelopeFile(file === '-' ? process.stdin : file, { signal: cancel.signal });
    try {
      await extract(session, envelope, sink, cancel.signal);
    } finally {
      await envelope.close();
    }
  } finally {
    cancel.done();
  }
}

/** `astis organisation recover`: has the organisation's capsule rewrapped to us, then opens as usual. */
export async function recover(session: Session, file: string, options: OpenOptions): Promise<void> {
  if (file === '-') throw new UsageError('Recovery reads the file twice; give a file.');
  refuseOverwrite(nameFor(file, options.output), options.force);
  const envelope = await openEnvelopeFile(file);
  await envelope.close();
  const order = await custodyOrder(session.client, 'recover', envelope.header.header.artifactId);
  await session.client.write('POST', '/v1/recoveries', { order }, Artifact);
  await open(session, file, options);
}
