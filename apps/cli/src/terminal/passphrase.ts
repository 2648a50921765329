/**
 * Passphrases: from the file that ASTIS_PASSPHRASE_FILE names, since arguments and the environment are seen by others;
 * else asked for, unseen, where there is a terminal.
 */
import { readFileSync } from 'node:fs';
import { UsageError } from './exit.ts';

const fromFile = (): string | undefined => {
  const path = process.env['ASTIS_PASSPHRASE_FILE'];
  return path === undefined ? undefined : readFileSync(path, 'utf8').replace(/\r?\n$/, '');
};

/** Reads a line without showing it. Undefined where nobody can be asked. */
async function ask(question: string): Promise<string | undefined> {
  const { stdin, stderr } = process;
  if (stdin.isTTY !== true || stderr.isTTY !== true) return undefined;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  let typed = '';
  try {
    for await (const piece of stdin) {
      for (const character of String(piece)) {
        if (character === '\r' || character === '\n') return typed;
        if (character === '\u0003' || character === '\u0004')
          throw new UsageError('No passphrase was given.');
        if (character === '\u007f' || character === '\b') typed = [...typed].slice(0, -1).join('');
        else typed += character;
      }
    }
    return typed;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

/** To open sealed keys. Undefined where there is neither a file nor a terminal. */
export const existingPassphrase = async (): Promise<string | undefined> =>
  fromFile() ?? (await ask('Passphrase: '));

/** For new keys, asked for twice; undefined when none is wanted, or nobody can be asked. */
export async function newPassphrase(): Promise<string | undefined> {
  const given = fromFile();
  if (given === '') throw new UsageError('The file of ASTIS_PASSPHRASE_FILE is empty.');
  if (given !== undefined) return given;
  const typed = await ask('Passphrase for your keys (empty for none): ');
  if (typed === undefined || typed === '') return undefined;
  if ((await ask('Once more: ')) !== typed)
    throw new UsageError('The two passphrases differ; nothing was done.');
  return typed;
}
