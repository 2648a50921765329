/** Runs the real `./astis` as its own process, as a user does. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ASTIS = fileURLToPath(new URL('../../../astis', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly out: Buffer;
  readonly text: string;
  readonly err: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
}

export function launch(args: readonly string[], { cwd, env = {}, input }: RunOptions): Running {
  const child = spawn(ASTIS, args, {
    cwd,
    env: { PATH: process.env['PATH'], HOME: cwd, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => out.push(piece));
  child.stderr.on('data', (piece: Buffer) => err.push(piece));
  // A command that ends without reading its input is not this process's fault.
  child.stdin.on('error', () => undefined);
  if (input !== undefined) child.stdin.end(input);
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const bytes = Buffer.concat(out);
      resolve({ code, out: bytes, text: bytes.toString('utf8'), err: Buffer.concat(err).toString('utf8') });
    });
  });
  return { child, ended };
}

export const run = (args: readonly string[], options: RunOptions): Promise<Ran> =>
  launch(args, { ...options, input: options.input ?? '' }).ended;

/** stdout as JSON, of any shape. */
export const json = (ran: Ran) => JSON.parse(ran.text);
