import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { temporaryFolder } from '../folders/temporary-folder.ts';
import { freePort } from './free-port.ts';
import { listening, NotReadyError, startProcess } from './start-process.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

let count = 0;
function program(source: string) {
  count += 1;
  const entry = join(folder.path, `${count}.ts`);
  writeFileSync(entry, source);
  return { entry, logFile: join(folder.path, `${count}.log`) };
}

const READY = `console.log(JSON.stringify({ msg: 'listening', port: 1234 }));`;
const STAY = 'setInterval(() => undefined, 1000);';

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('runs TypeScript, tells what the ready line said, and keeps both outputs', async () => {
  const running = await startProcess({
    ...program(
      `const word: string = process.env['WORD'] ?? ''; console.error('to stderr', word); ${READY}
       process.once('SIGTERM', () => { console.log('bye'); process.exit(3); }); ${STAY}`,
    ),
    env: { WORD: 'given' },
    ready: listening,
  });
  expect(running.ready).toMatchObject({ port: 1234 });
  expect(await running.stop()).toEqual({ code: 3, signal: null });
  expect(isAlive(running.pid)).toBe(false);
  expect(readFileSync(running.logFile, 'utf8')).toMatch(/to stderr given[^]*listening[^]*bye\n$/);
});

test('passes on nothing of our own environment', async () => {
  process.env['ASTIS_TEST_SECRET'] = 'inherited';
  const running = await startProcess({
    ...program(`console.log(JSON.stringify(Object.keys(process.env))); ${STAY}`),
    ready: (line) => line,
  });
  delete process.env['ASTIS_TEST_SECRET'];
  await running.kill();
  expect(JSON.parse(running.ready)).not.toContain('ASTIS_TEST_SECRET');
});

test('kill is SIGKILL: the process gets no say', async () => {
  const mark = join(folder.path, 'mark');
  const running = await startProcess({
    ...program(
      `import { writeFileSync } from 'node:fs';
       process.on('exit', () => writeFileSync(${JSON.stringify(mark)}, ''));
       process.on('SIGTERM', () => undefined); ${READY} ${STAY}`,
    ),
    ready: listening,
  });
  expect(await running.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  expect(existsSync(mark)).toBe(false);
});

test('one that ignores SIGTERM is killed, and that can be seen', async () => {
  const running = await startProcess({
    ...program(`process.on('SIGTERM', () => undefined); ${READY} ${STAY}`),
    ready: listening,
  });
  expect(await running.stop(50)).toEqual({ code: null, signal: 'SIGKILL' });
});

test('one that ends or stays silent is reported, and does not go on running', async () => {
  const ending = startProcess({
    ...program(`console.error('no database'); process.exit(7);`),
    ready: listening,
  });
  await expect(ending).rejects.toThrow(NotReadyError);
  await expect(ending).rejects.toThrow(/ended with 7/);
  const pidFile = join(folder.path, 'pid');
  const silent = program(
    `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); ${STAY}`,
  );
  await expect(startProcess({ ...silent, ready: listening, readyWithin: 2000 })).rejects.toThrow(
    /not ready after/,
  );
  expect(isAlive(Number(readFileSync(pidFile, 'utf8')))).toBe(false);
});

test('only the line with that message is the ready line', () => {
  expect(listening('{"msg":"listening","port":1}')).toEqual({ msg: 'listening', port: 1 });
  expect(listening('{"msg":"not listening"}')).toBeUndefined();
  expect(listening('"listening"')).toBeUndefined();
  expect(listening('{"msg":"listening"')).toBeUndefined();
});

test('a free port can be listened on', async () => {
  const port = await freePort();
  const running = await startProcess({
    ...program(
      `import { createServer } from 'node:http';
       createServer().listen(${port}, '127.0.0.1', () => { ${READY} });`,
    ),
    ready: listening,
  });
  await running.kill();
  expect(port).toBeGreaterThan(1023);
});
