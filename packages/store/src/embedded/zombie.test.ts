import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { isZombie } from './zombie.ts';

test('a process is one from its end until its parent has waited for it', async () => {
  // The shell becomes `sleep`, which waits for no child; only then does the child end.
  const parent = spawn('sh', ['-c', 'cat <&3 & echo $!; exec sleep 600 3<&-'], {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  });
  try {
    const [line] = await once(parent.stdout as NodeJS.ReadableStream, 'data');
    const child = Number.parseInt(String(line), 10);
    const name = () => readFileSync(`/proc/${parent.pid}/comm`, 'utf8').trim();
    await expect.poll(name, { timeout: 60_000 }).toBe('sleep');
    expect(isZombie(child)).toBe(false);
    (parent.stdio[3] as Writable).end();
    await expect.poll(() => isZombie(child), { timeout: 60_000 }).toBe(true);
    expect(isZombie(parent.pid ?? 0)).toBe(false);
  } finally {
    parent.kill('SIGKILL');
  }
});

test('nothing is known of a number that nobody has', () => {
  expect(isZombie(2 ** 30)).toBe(false);
});
