/** Runs a program of ours as a process of its own, its output in a file. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync, statSync } from 'node:fs';

export interface RunningProcess {
  readonly pid: number;
  /** The end of the process, wanted or not: its exit code or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** Whether it still runs. */
  isRunning(): boolean;
  /** Asks it to stop and waits; kills it when that takes longer than `within` milliseconds, ten seconds by default. */
  stop(within?: number): Promise<number | NodeJS.Signals>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<number | NodeJS.Signals>;
}

export interface ProcessPlan {
  readonly name: string;
  readonly script: string;
  readonly args?: readonly string[];
  /** Flags of Node itself, such as `--import`. */
  readonly nodeFlags?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** A line of the output that has this text says that it is ready. */
  readonly readyText: string;
}

const LIFELINE = new URL('lifeline.ts', import.meta.url).href;
const STOP_MS = 10_000;
const START_MS = 60_000;

/** What was written to the log since `from`. */
function readFrom(path: string, from: number): string {
  const size = statSync(path).size;
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(Math.max(0, size - from));
    readSync(fd, buffer, 0, buffer.length, from);
    return buffer.toString('utf8');
  } finally {
    closeSync(fd);
  }
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

export async function startProcess(plan: ProcessPlan): Promise<RunningProcess> {
  const log = openSync(plan.logFile, 'a', 0o600);
  const from = statSync(plan.logFile).size;
  const flags = ['--import', LIFELINE, ...(plan.nodeFlags ?? [])];
  const child = spawn(process.execPath, [...flags, plan.script, ...(plan.args ?? [])], {
    // Nothing of our own environment but what a process needs to run: a secret there is not theirs.
    env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'production', ...plan.env },
    // Never written to: when it ends, we are gone, and the child stops too (lifeline.ts).
    stdio: ['pipe', log, log],
    // Ctrl-C in the terminal reaches us, and we stop it in order.
    detached: true,
  });
  closeSync(log);
  child.stdin?.on('error', () => undefined);
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', (code, by) => resolve(code ?? by ?? 'SIGKILL'));
    child.once('error', () => resolve('SIGKILL'));
  });
  const signal = (name: NodeJS.Signals): void => {
    if (!ended(child)) child.kill(name);
  };
  const abandon = (): void => signal('SIGKILL');
  process.once('exit', abandon);
  void exited.then(() => process.removeListener('exit', abandon));

  const deadline = Date.now() + START_MS;
  while (!readFrom(plan.logFile, from).includes(plan.readyText)) {
    if (ended(child) || Date.now() > deadline) {
      signal('SIGKILL');
      await exited;
      const tail = readFrom(plan.logFile, from).trim().split('\n').slice(-3).join('\n');
      throw new Error(`${plan.name} did not start; ${plan.logFile} ends with:\n${tail}`);
    }
    await new Promise((wake) => setTimeout(wake, 20));
  }
  const { pid } = child;
  if (pid === undefined) throw new Error(`${plan.name} did not start`);
  return {
    pid,
    exited,
    isRunning: () => !ended(child),
    async stop(within = STOP_MS) {
      signal('SIGTERM');
      const timer = setTimeout(() => signal('SIGKILL'), within);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
    kill() {
      signal('SIGKILL');
      return exited;
    },
  };
}
