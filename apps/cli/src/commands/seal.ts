/** `astis seal`: encrypts here, stores the capsules, and only when both are done is there an artifact. */
import { erase } from '@astis/crypto';
import { sealFile } from '@astis/crypto/files';
import { Policy } from '@astis/protocol';
import { lookUp, prepareSealing } from '@astis/sdk';
import { profilePins } from '@astis/sdk/node';
import type { Session } from '../session.ts';
import { UsageError } from '../terminal/exit.ts';
import { cancelOnInterrupt, refuseOverwrite } from '../terminal/files.ts';
import { time } from '../terminal/output.ts';
import { progressBar } from '../terminal/progress.ts';
import { addresses, parseDuration } from '../terminal/values.ts';

export interface SealOptions {
  readonly to: readonly string[];
  readonly ttl?: string;
  readonly label?: readonly string[];
  readonly output?: string;
  readonly force?: boolean;
  /** False with --not-me: the sealer is no recipient. */
  readonly me: boolean;
  readonly acceptNewKey?: readonly string[];
}

async function defaultTtl({ client }: Session): Promise<number> {
  const { document } = await client.get('/v1/policy', Policy);
  if (typeof document === 'object' && document !== null && 'defaultTtlSeconds' in document)
    return Number(document.defaultTtlSeconds);
  throw new UsageError('The policy has no default; give --ttl.');
}

export async function seal(session: Session, file: string, options: SealOptions): Promise<void> {
  const { client, output, profile } = session;
  const sink = options.output ?? (file === '-' ? '-' : `${file}.astis`);
  refuseOverwrite(sink, options.force);
  if (sink === '-' && output.json)
    throw new UsageError('--json writes to stdout, where the artifact goes; give -o FILE.');
  const recipients = new Set(addresses(options.to));
  if (options.me) recipients.add(client.identity.address);
  if (recipients.size === 0) throw new UsageError('Say whom to seal to: --to bob@example.org');
  const ttlSeconds = options.ttl === undefined ? await defaultTtl(session) : parseDuration(options.ttl);
  const accepted = new Set(addresses(options.acceptNewKey ?? []));
  const keys = await lookUp(client, [...recipients], profilePins(profile), accepted);
  const sealing = await prepareSealing(client, keys, { ttlSeconds, labels: options.label ?? [] });
  const bar = progressBar('sealing');
  const cancel = cancelOnInterrupt();
  // The capsules are stored while the payload is being written, but the artifact gets its name only after both.
  const registered = sealing.register();
  registered.catch(() => cancel.abort());
  try {
    await sealFile({
      source: file === '-' ? process.stdin : file,
      sink: sink === '-' ? process.stdout : sink,
      header: sealing.header,
      dek: sealing.dek,
      signer: client.identity.signer,
      onProgress: (progress) => bar.update(progress),
      signal: cancel.signal,
    });
    await registered;
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
  const expiresAt = new Date(sealing.statement.notAfter * 1000).toISOString();
  const result = {
    artifactId: sealing.statement.artifactId,
    file: sink,
    recipients: keys.map(({ address, kind }) => ({ address, kind })),
    expiresAt,
  };
  const waiting = keys.filter(({ kind }) => kind === 'holding').map(({ address }) => address);
  const lines = [
    `Sealed to ${[...recipients].join(', ')} until ${time(expiresAt)}.`,
    `Artifact ${result.artifactId} in ${sink}`,
    ...(waiting.length === 0
      ? []
      : [
          `No key yet: ${waiting.join(', ')}. Invite them with \`astis people invite\`; it opens once they enrol.`,
        ]),
  ];
  if (sink === '-') output.note(lines.join('\n'));
  else output.result(result, lines.join('\n'));
}
