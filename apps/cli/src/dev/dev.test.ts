/** The development stack as `npm start` runs it: it goes on after anything was killed, and one runs at a time. */
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@astis/testkit';
import { afterAll, afterEach, expect, test } from 'vitest';
import { run as runCli } from '../cli.fixture.ts';

const ASTIS = fileURLToPath(new URL('../../../../astis', import.meta.url));
const folder = temporaryFolder();
const home = join(folder.path, 'home');
const running: ChildProcess[] = [];

interface Dev {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly text: string }>;
  said(): string;
}

function launch(...args: readonly string[]): Dev {
  const child = spawn(ASTIS, ['dev', ...args], {
    cwd: folder.path,
    env: { PATH: process.env['PATH'], HOME: folder.path, ASTIS_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  let text = '';
  child.stdout.on('data', (piece) => {
    text += String(piece);
  });
  child.stderr.on('data', (piece) => {
    text += String(piece);
  });
  const ended = new Promise<{ code: number | null; text: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, text })),
  );
  return { child, ended, said: () => text };
}

async function start(...args: readonly string[]): Promise<Dev> {
  const dev = launch(...args);
  await expect.poll(dev.said, { timeout: 100_000, interval: 100 }).toMatch(/Ctrl-C stops it|astis: /);
  if (!dev.said().includes('Ctrl-C stops it')) {
    const log = join(home, 'pg.log');
    const tail = existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(-12).join('\n') : '';
    throw new Error(`${dev.said()}\n${tail}`);
  }
  return dev;
}

const as = (who: string, ...args: readonly string[]) =>
  runCli(['--profile', who, ...args], {
    cwd: folder.path,
    env: { ASTIS_CONFIG_DIR: join(home, 'profiles') },
  });

/** Process ids whose command line has `text` and whose environment or arguments name this test's folder. */
function processesOf(text: string): readonly number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes(text))
    .map((line) => Number.parseInt(line, 10))
    .filter((pid) => {
      try {
        const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
        return `${read('environ')} ${read('cmdline')}`.includes(folder.path);
      } catch {
        return false;
      }
    });
}

afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  }
});
afterAll(() => folder.remove());

test('makes three people, prints commands that work, and stops in order', { timeout: 300_000 }, async () => {
  const dev = await start();
  const commands = /export ASTIS_CONFIG_DIR="(.*)"/.exec(dev.said())?.[1];
  expect(commands?.replace('$PWD', folder.path)).toBe(join(home, 'profiles'));
  writeFileSync(join(folder.path, 'plan.txt'), 'the plan\n');
  expect((await as('alice', 'seal', 'plan.txt', '--to', 'bob@demo.test', '--ttl', '2h')).code).toBe(0);
  expect((await as('bob', 'open', 'plan.txt.astis', '-o', '-')).text).toBe('the plan\n');

  // A second one says that one is running, and harms nothing.
  const second = await launch().ended;
  expect(second.code).toBe(2);
  expect(second.text).toContain('runs already');
  expect((await as('bob', 'open', 'plan.txt.astis', '-o', '-')).code).toBe(0);

  dev.child.kill('SIGINT');
  expect((await dev.ended).code).toBe(0);
  for (const name of ['apps/gateway/src/main.ts', 'apps/cvs/src/main.ts'])
    expect(processesOf(name)).toEqual([]);
});

test('a killed gateway or CVS is started again', { timeout: 300_000 }, async () => {
  await start();
  for (const name of ['apps/gateway/src/main.ts', 'apps/cvs/src/main.ts']) {
    const [pid = 0] = processesOf(name);
    process.kill(pid, 'SIGKILL');
    await expect
      .poll(() => processesOf(name).filter((each) => each !== pid).length, { timeout: 60_000 })
      .toBeGreaterThan(0);
  }
  await expect
    .poll(async () => (await as('bob', 'open', 'plan.txt.astis', '-o', '-')).text, { timeout: 60_000 })
    .toBe('the plan\n');
});

test('after kill -9 of all of it, starting again goes on with what was there', {
  timeout: 300_000,
}, async () => {
  const dev = await start();
  expect((await as('alice', 'capsule', 'revoke', 'plan.txt.astis', '--to', 'alice@demo.test')).code).toBe(0);
  dev.child.kill('SIGKILL');
  for (const name of ['apps/gateway/src/main.ts', 'apps/cvs/src/main.ts', 'postgres']) {
    for (const pid of processesOf(name)) process.kill(pid, 'SIGKILL');
  }
  await dev.ended;
  await start();
  expect((await as('bob', 'open', 'plan.txt.astis', '-o', '-')).text).toBe('the plan\n');
  expect((await as('alice', 'open', 'plan.txt.astis', '-o', '-')).code).toBe(3);
});

test('the parent killed alone takes its processes along; a taken port is given up', {
  timeout: 300_000,
}, async () => {
  const dev = await start();
  dev.child.kill('SIGKILL');
  await dev.ended;
  const { gateway }: { gateway: number } = JSON.parse(readFileSync(join(home, 'ports.json'), 'utf8'));
  const squatter = createServer();
  const listen = () =>
    new Promise<boolean>((resolve) => {
      squatter.once('error', () => resolve(false));
      squatter.listen(gateway, '127.0.0.1', () => resolve(true));
    });
  await expect.poll(listen, { timeout: 30_000 }).toBe(true);
  try {
    const again = await start();
    expect(again.said()).not.toContain(`:${gateway}`);
    expect((await as('bob', 'open', 'plan.txt.astis', '-o', '-')).text).toBe('the plan\n');
  } finally {
    await new Promise((closed) => squatter.close(closed));
  }
});

test('--reset begins anew, and refuses a folder that is none of ours', { timeout: 300_000 }, async () => {
  await start('--reset');
  expect((await as('bob', 'open', 'plan.txt.astis', '-o', '-')).code).toBe(6);
  const strange = join(folder.path, 'strange');
  const { mkdirSync } = await import('node:fs');
  mkdirSync(strange);
  writeFileSync(join(strange, 'precious'), 'x');
  const { status } = spawnSync(ASTIS, ['dev', '--reset'], {
    env: { PATH: process.env['PATH'], HOME: folder.path, ASTIS_HOME: strange },
  });
  expect(status).toBe(2);
  expect(existsSync(join(strange, 'precious'))).toBe(true);
});
