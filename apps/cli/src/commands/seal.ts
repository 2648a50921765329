/** `astis seal`: encrypts here, stores the capsules, and only when both are done is there an artifact. */
import { erase } from '@astis/crypto';
import { sealFile } from '@astis/crypto/files';
import type { Address } from '@astis/protocol';
import { ORGANISATION, Policy } from '@astis/protocol';
import type { Sealing } from '@astis/sdk';
import { lookUp, prepareSealing } from '@astis/sdk';
import { profilePins } from '@astis/sdk/node';
import type { Session } from '../session.ts';
import { UsageError } from '../terminal/exit.ts';
import { cancelOnInterrupt, checkReadable, published, refuseOverwrite } from '../terminal/files.ts';
import { time } from '../terminal/output.ts';
import { progressBar } from '../terminal/progress.ts';
import { addresses, parseDuration } from '../terminal/values.ts';

export interface SealOptions {
  readonly to: readonly string[];
  readonly ttl?: string;
  readonly label?: readonly string[];
  readonly output?: string;
  readonly force?: boolean;
  /** False with --no-me: the sealer is no recipient. */
  readonly me: boolean;
  /** The organisation is a recipient too. */
  readonly recovery?: boolean;
  readonly acceptNewKey?: readonly string[];
}

async function defaultTtl({ client }: Session): Promise<number> {
  const { document } = await client.get('/v1/policy', Policy);
  if (typeof document === 'object' && document !== null && 'defaultTtlSeconds' in document)
    return Number(document.defaultTtlSeconds);
  throw new UsageError('The policy has no default; give --ttl.');
}

function recipientsOf(session: Session, options: SealOptions): readonly Address[] {
  const recipients = new Set(addresses(options.to));
  if (options.me) recipients.add(session.client.identity.address);
  if (options.recovery === true) recipients.add(ORGANISATION);
  if (recipients.size === 0) throw new UsageError('Say whom to seal to: --to bob@example.org');
  return [...recipients];
}

/** Writes the artifact and stores its capsules side by side. If either fails, the other is taken back. */
async function sealBoth(session: Session, sealing: Sealing, file: string, sink: string): Promise<void> {
  const bar = progressBar('sealing', session.output.json);
  const cancel = cancelOnInterrupt();
  const registered = sealing.register();
  registered.catch((error: unknown) => cancel.abort(error));
  const write = async (to: string | NodeJS.WritableStream): Promise<void> => {
    await sealFile({
      source: file === '-' ? process.stdin : file,
      sink: typeof to === 'string' ? to : process.stdout,
      header: sealing.header,
      dek: sealing.dek,
      signer: session.client.identity.signer,
      onProgress: (progress) => bar.update(progress),
      signal: cancel.signal,
    });
    await registered;
    cancel.signal.throwIfAborted();
  };
  try {
    await (sink === '-' ? write(process.stdout) : published(sink, write));
  } catch (error) {
    // What the gateway refused is the reason; that the writing was cancelled only follows from it.
    await registered;
    await sealing.abandon();
    throw error;
  } finally {
    bar.end();
    cancel.done();
    erase(sealing.dek);
  }
}

export async function seal(session: Session, file: string, options: SealOptions): Promise<void> {
  const { client, output, profile } = session;
  const sink = options.output ?? (file === '-' ? '-' : `${file}.astis`);
  refuseOverwrite(sink, options.force);
  checkReadable(file);
  if (sink === '-' && process.stdout.isTTY)
    throw new UsageError('The artifact is binary and stdout is a terminal; give -o FILE.');
  const recipients = recipientsOf(session, options);
  const ttlSeconds = options.ttl === undefined ? await defaultTtl(session) : parseDuration(options.ttl);
  const accepted = new Set(addresses(options.acceptNewKey ?? []));
  const keys = await lookUp(client, recipients, profilePins(profile), accepted);
  const sealing = await prepareSealing(client, keys, { ttlSeconds, labels: options.label ?? [] });
  await sealBoth(session, sealing, file, sink);

  const expiresAt = new Date(sealing.statement.notAfter * 1000).toISOString();
  const result = {
    artifactId: sealing.statement.artifactId,
    file: sink,
    recipients: keys.map(({ address, kind, keyId }) => ({ address, kind, keyId })),
    labels: sealing.statement.labels,
    expiresAt,
  };
  const waiting = keys.filter(({ kind }) => kind === 'holding').map(({ address }) => address);
  const lines = [
    `Sealed to ${recipients.join(', ')} until ${time(expiresAt)}.`,
    `Artifact ${result.artifactId} in ${sink === '-' ? 'standard output' : sink}`,
    ...(waiting.length === 0
      ? []
      : [
          `No key yet: ${waiting.join(', ')}. Invite them with \`astis people invite\`; it opens once they enrol.`,
        ]),
  ];
  if (sink === '-') output.aside(result, lines.join('\n'));
  else output.result(result, lines.join('\n'));
}
