/** Runs a program of ours as its own process, as in production: it can be killed, and everything it prints is kept. */
import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';

export interface ProcessOptions<Ready> {
  /** The `.ts` or `.js` file to run. */
  readonly entry: string;
  readonly args?: readonly string[];
  /** The whole environment but for PATH and HOME; nothing else of ours is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Flags of Node itself, such as `--import`. */
  readonly nodeFlags?: readonly string[];
  /** Everything on standard output and standard error is appended here. */
  readonly logFile: string;
  /** Reads a line of standard output; anything but undefined says that the process is ready, and is kept. */
  readonly ready: (line: string) => Ready | undefined;
  /** How long it may take to become ready, in milliseconds. */
  readonly readyWithin?: number;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProcess<Ready> extends AsyncDisposable {
  readonly pid: number;
  readonly logFile: string;
  /** What `ready` made of its line. */
  readonly ready: Ready;
  /** The end of the process, wanted or not, once all of its output is in the log file. */
  readonly ended: Promise<Ended>;
  /** All that it printed so far. */
  output(): string;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<Ended>;
  /** SIGTERM, then SIGKILL after `within` milliseconds: whoever wants to know looks at the signal. */
  stop(within?: number): Promise<Ended>;
}

/** The process ended, or kept silent, before it was ready. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
  readonly code = 'not_ready';
}

/** Reads the line `{"msg":"listening",...}` with which our servers say that they are ready. */
export function listening(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.includes('"listening"')) return undefined;
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null || !('msg' in entry)) return undefined;
    return entry.msg === 'listening' ? { ...entry } : undefined;
  } catch {
    return undefined;
  }
}

/** Starts the process and resolves when it is ready; rejects with NotReadyError, and leaves nothing running. */
export async function startProcess<Ready>(options: ProcessOptions<Ready>): Promise<RunningProcess<Ready>> {
  const { entry, args = [], nodeFlags = [], logFile, readyWithin = 60_000 } = options;
  const child = spawn(process.execPath, [...nodeFlags, entry, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      ...options.env,
    },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  const log = createWriteStream(logFile, { flags: 'a', mode: 0o600 });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      log.end();
      finished(log).then(() => resolve({ code, signal }), reject);
    });
  });
  // Whoever does not wait for the end does not have to handle its failure either.
  ended.catch(() => undefined);

  // No orphan outlives us, whatever ends us but SIGKILL.
  const abandon = () => child.kill('SIGKILL');
  process.once('exit', abandon);
  child.once('close', () => process.removeListener('exit', abandon));

  const signal = async (name: NodeJS.Signals): Promise<Ended> => {
    child.kill(name);
    return await ended;
  };
  const readiness = Promise.withResolvers<Ready>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const value = options.ready(line);
    if (value !== undefined) readiness.resolve(value);
  });
  ended.then(
    ({ code, signal: by }) =>
      readiness.reject(
        new NotReadyError(`${entry} ended with ${code ?? by} before it was ready; see ${logFile}`),
      ),
    (error: unknown) => readiness.reject(error),
  );
  const timer = setTimeout(() => {
    readiness.reject(new NotReadyError(`${entry} was not ready after ${readyWithin} ms; see ${logFile}`));
  }, readyWithin);
  try {
    const ready = await readiness.promise;
    const { pid } = child;
    if (pid === undefined) throw new NotReadyError(`${entry} has no process id`);
    const stop = async (within = 30_000): Promise<Ended> => {
      const overdue = setTimeout(() => child.kill('SIGKILL'), within);
      try {
        return await signal('SIGTERM');
      } finally {
        clearTimeout(overdue);
      }
    };
    return {
      pid,
      logFile,
      ready,
      ended,
      output: () => readFileSync(logFile, 'utf8'),
      kill: () => signal('SIGKILL'),
      stop,
      [Symbol.asyncDispose]: async () => {
        await stop();
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    await ended.catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
