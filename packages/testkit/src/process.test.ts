import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { freePort } from './free-port.ts';
import { startProcess } from './process.ts';
import { temporaryFolder } from './temporary-folder.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

let count = 0;
function program(source: string) {
  count += 1;
  const script = join(folder.path, `${count}.ts`);
  writeFileSync(script, source);
  return {
    name: 'program',
    script,
    logFile: join(folder.path, `${count}.log`),
    readyText: '"msg":"listening"',
    env: {},
  };
}

const READY = `console.log(JSON.stringify({ msg: 'listening' }));`;
const STAY = 'setInterval(() => undefined, 1000);';

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('runs TypeScript with arguments and environment, and keeps all that it prints', async () => {
  const running = await startProcess({
    ...program(
      `const word: string = process.env['WORD'] ?? ''; console.error('to stderr', word, process.argv[2]);
       process.once('SIGTERM', () => { console.log('bye'); process.exit(3); }); ${READY} ${STAY}`,
    ),
    args: ['argument'],
    env: { WORD: 'given' },
  });
  expect(running.isRunning()).toBe(true);
  expect(await running.stop()).toBe(3);
  expect(isAlive(running.pid)).toBe(false);
  expect(readFileSync(join(folder.path, '1.log'), 'utf8')).toBe(
    'to stderr given argument\n{"msg":"listening"}\nbye\n',
  );
});

test('passes on nothing of our own environment', async () => {
  process.env['ASTIS_TEST_SECRET'] = 'inherited';
  const plan = program(`console.log(JSON.stringify(process.env)); ${READY} ${STAY}`);
  const running = await startProcess(plan);
  delete process.env['ASTIS_TEST_SECRET'];
  await running.kill();
  expect(readFileSync(plan.logFile, 'utf8')).not.toContain('inherited');
});

test('is not taken for ready by what an earlier run left in the log', async () => {
  const first = program(`${READY} ${STAY}`);
  await (await startProcess(first)).kill();
  const again = { ...program('process.exit(4);'), logFile: first.logFile };
  await expect(startProcess(again)).rejects.toThrow(/did not start/);
});

test('kill is SIGKILL: the process gets no say', async () => {
  const mark = join(folder.path, 'mark');
  const running = await startProcess(
    program(
      `import { writeFileSync } from 'node:fs';
       const leave = () => writeFileSync(${JSON.stringify(mark)}, '');
       process.on('exit', leave).on('SIGTERM', leave); ${READY} ${STAY}`,
    ),
  );
  expect(await running.kill()).toBe('SIGKILL');
  expect(existsSync(mark)).toBe(false);
});

test('one that ignores SIGTERM is killed, and that can be seen', async () => {
  const running = await startProcess(program(`process.on('SIGTERM', () => undefined); ${READY} ${STAY}`));
  expect(await running.stop(50)).toBe('SIGKILL');
});

test('one that ends before it is ready is reported, with the end of its log', async () => {
  await expect(startProcess(program(`console.error('no database'); process.exit(7);`))).rejects.toThrow(
    /did not start.+no database$/s,
  );
});

test('a free port can be listened on', async () => {
  const port = await freePort();
  const running = await startProcess(
    program(
      `import { createServer } from 'node:http';
       createServer().listen(${port}, '127.0.0.1', () => { ${READY} });`,
    ),
  );
  expect(await running.kill()).toBe('SIGKILL');
});

test('ends with its parent, even when that is killed', async () => {
  const child = program(`${READY} ${STAY}`);
  const parent = program(
    `import { startProcess } from ${JSON.stringify(new URL('process.ts', import.meta.url).href)};
     const running = await startProcess(${JSON.stringify(child)});
     console.log(JSON.stringify({ pid: running.pid })); ${READY} ${STAY}`,
  );
  const running = await startProcess(parent);
  const { pid }: { pid: number } = JSON.parse(readFileSync(parent.logFile, 'utf8').split('\n')[0] ?? '');
  expect(isAlive(pid)).toBe(true);
  await running.kill();
  await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false);
});
