/** The canary test is worth what its scanner finds: one line of a log that leaks one mark is found in every form. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { temporaryFolder } from '@astis/testkit';
import { describe, expect, test } from 'vitest';
import { Scanner } from './marks.fixture.ts';

const secret = randomBytes(32);
const other = randomBytes(32);
const scanner = new Scanner([
  { name: 'leaked', bytes: secret },
  { name: 'kept', bytes: other },
]);

const swapCase = (text: string) => text.toUpperCase();
const FORMS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  raw: (bytes) => bytes,
  hex: (bytes) => Buffer.from(bytes.toString('hex')),
  HEX: (bytes) => Buffer.from(swapCase(bytes.toString('hex'))),
  base64: (bytes) => Buffer.from(bytes.toString('base64')),
  'base64, one byte on': (bytes) => Buffer.from(Buffer.concat([Buffer.from('x'), bytes]).toString('base64')),
  'base64, two bytes on': (bytes) =>
    Buffer.from(Buffer.concat([Buffer.from('xy'), bytes]).toString('base64')),
  base64url: (bytes) => Buffer.from(bytes.toString('base64url')),
  'base64url, in more': (bytes) =>
    Buffer.from(Buffer.concat([Buffer.from('x'), bytes, Buffer.from('yz')]).toString('base64url')),
  'Buffer as JSON': (bytes) => Buffer.from(JSON.stringify(bytes)),
  'typed array as inspected': (bytes) => Buffer.from(`[ ${bytes.join(', ')} ]`),
  'string as UTF-8': (bytes) => Buffer.from(bytes.toString('latin1'), 'utf8'),
  'hex as UTF-16': (bytes) => Buffer.from(bytes.toString('hex'), 'utf16le'),
  'text as UTF-16': (bytes) => Buffer.from(bytes.toString('latin1'), 'utf16le'),
  'base64url as UTF-16': (bytes) => Buffer.from(bytes.toString('base64url'), 'utf16le'),
  gzip: (bytes) => gzipSync(Buffer.concat([Buffer.from('{"key":"'), bytes])),
  'hex in gzip': (bytes) => gzipSync(Buffer.from(bytes.toString('hex').repeat(3))),
  'base64 in zlib': (bytes) => deflateSync(Buffer.from(`key=${bytes.toString('base64')}`)),
  'gzip in gzip': (bytes) => gzipSync(gzipSync(bytes)),
  'gzip that is cut off': (bytes) => gzipSync(Buffer.concat([bytes, randomBytes(5000)])).subarray(0, 2000),
  zstd: (bytes) => zstdCompressSync(Buffer.from(`key=${bytes.toString('hex')} `.repeat(20))),
  "in PostgreSQL's compression": (bytes) =>
    Buffer.concat([0, 8, 16, 24].flatMap((at) => [Buffer.from([0]), bytes.subarray(at, at + 8)])),
};

const noise = (): Buffer =>
  Buffer.from(
    Array.from(
      { length: 200 },
      () => `{"level":30,"time":${Date.now()},"id":"${randomBytes(32).toString('base64url')}"}\n`,
    ).join(''),
  );

describe('one line of a log that leaks one mark', () => {
  for (const [form, encode] of Object.entries(FORMS)) {
    test(`is found: ${form}`, () => {
      using folder = temporaryFolder();
      const log = join(folder.path, 'gateway.log');
      writeFileSync(log, noise());
      expect(scanner.searchFolder(folder.path)).toEqual([]);
      appendFileSync(
        log,
        Buffer.concat([Buffer.from('{"msg":"'), encode(secret), Buffer.from('"}\n'), noise()]),
      );
      const findings = scanner.searchFolder(folder.path);
      expect(new Set(findings.map(({ mark, where }) => `${mark} ${where}`))).toEqual(
        new Set([`leaked ${log}`]),
      );
    });
  }
});

test('a mark across two pieces of a large file is found', () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'core');
  const before = Buffer.alloc((1 << 22) - 10);
  writeFileSync(path, Buffer.concat([before, Buffer.from(secret.toString('hex')), Buffer.alloc(100)]));
  expect(scanner.searchFile(path).map(({ encoding }) => encoding)).toEqual(['hex']);
});

test("a mark in another process's memory is found, and one that is not there is not", async () => {
  const child = spawn(process.execPath, [
    '-e',
    'globalThis.kept = process.argv[1]; setInterval(() => {}, 1000); console.log("ready")',
    secret.toString('base64url'),
  ]);
  try {
    await once(child.stdout, 'data');
    const findings = scanner.searchMemory(child.pid ?? 0);
    expect(new Set(findings.map(({ mark }) => mark))).toEqual(new Set(['leaked']));
  } finally {
    child.kill('SIGKILL');
  }
});
