import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { isZombie } from './zombie.ts';

test('a process is one from its end until its parent has waited for it', async () => {
  // The shell becomes `sleep`, which waits for no child: the child that ends meanwhile stays a zombie.
  const parent = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [line] = await once(parent.stdout, 'data');
    const child = Number.parseInt(String(line), 10);
    await expect.poll(() => isZombie(child), { timeout: 30_000 }).toBe(true);
    expect(isZombie(parent.pid ?? 0)).toBe(false);
  } finally {
    parent.kill('SIGKILL');
  }
});

test('nothing is known of a number that nobody has', () => {
  expect(isZombie(2 ** 30)).toBe(false);
});
