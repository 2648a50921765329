/**
 * The worker process: the only place where the root key, a private key or a DEK is ever in memory. It reads the root
 * key's file itself, so that the process which parses network input never had it, does its jobs, and ends when the
 * main process ends or lets it go.
 */
import { CryptoError, erase } from '@astis/crypto';
import type { RootKek } from '@astis/crypto/custody';
import { rootKek } from '@astis/crypto/custody';
import { ProtocolError } from '@astis/protocol';
import type { FromWorker, ToWorker } from './messages.ts';
import { perform } from './perform.ts';
import { RootKeyError, readRootKey } from './root-key.ts';

const answer = (message: FromWorker): void => {
  process.send?.(message);
};

const codeOf = (error: unknown): string =>
  error instanceof CryptoError || error instanceof ProtocolError || error instanceof RootKeyError
    ? error.code
    : 'internal';

async function start(rootKeyFile: string): Promise<RootKek | undefined> {
  try {
    const key = readRootKey(rootKeyFile);
    try {
      return await rootKek(key);
    } finally {
      erase(key);
    }
  } catch (error) {
    answer({ type: 'unfit', code: codeOf(error) });
    return undefined;
  }
}

let root: RootKek | undefined;

async function take(message: ToWorker): Promise<void> {
  if (message.type === 'start') {
    root = await start(message.rootKeyFile);
    if (root !== undefined) answer({ type: 'ready' });
    return;
  }
  const { id, job } = message;
  try {
    if (root === undefined) throw new RootKeyError('root_key_missing');
    answer({ type: 'done', id, result: await perform(job, root) });
  } catch (error) {
    answer({ type: 'failed', id, code: codeOf(error) });
  }
}

process.on('message', (message: ToWorker) => {
  // Anything that isn't answered for inside of take() ends this process; the main process then fails the call.
  void take(message);
});
// Signals of the terminal go to the whole group; the main process says when we end.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('disconnect', () => process.exit(0));
