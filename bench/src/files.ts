/** Sealing and opening a file as whole processes, against age, and against the runtime's own AES-256-GCM. */
import { spawnSync } from 'node:child_process';
import { createCipheriv, randomBytes, randomFillSync } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { EnrolledKeys } from '@astis/sdk';
import { saveProfile } from '@astis/sdk/node';
import { median, spread } from './statistics.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface FileResults {
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
}

function makeFile(path: string, bytes: number): void {
  const chunk = randomFillSync(Buffer.alloc(1 << 22));
  const fd = openSync(path, 'w');
  for (let left = bytes; left > 0; left -= chunk.length)
    writeSync(fd, chunk, 0, Math.min(left, chunk.length));
  closeSync(fd);
}

/** Runs a command; seconds by the wall, and the largest resident size in MB. */
function timed(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): { readonly seconds: number; readonly megabytes: number } {
  const started = performance.now();
  // GNU time tells the peak of the child alone.
  const { status, stderr } = spawnSync('/usr/bin/time', ['-f', '%M', command, ...args], {
    env,
    encoding: 'utf8',
  });
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return { seconds, megabytes: Number(stderr.trim().split('\n').at(-1)) / 1024 };
}

/** MB/s of node:crypto's AES-256-GCM on one thread, in chunks of 64 KiB and of 1 MiB. */
function runtimeGcm(chunkBytes: number): number {
  const key = randomBytes(32);
  const data = randomBytes(chunkBytes);
  const chunks = Math.floor((1 << 29) / chunkBytes);
  const started = performance.now();
  for (let i = 0; i < chunks; i++) {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(i, 8);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.update(data);
    cipher.final();
  }
  return (chunks * chunkBytes) / 1e6 / ((performance.now() - started) / 1000);
}

export function benchFiles(
  folder: string,
  keys: EnrolledKeys,
  ca: string,
  bytes: number,
  runs: number,
): FileResults {
  const at = (name: string) => join(folder, name);
  const node = join(ROOT, 'node_modules/.bin/node');
  const cli = join(ROOT, 'apps/cli/src/main.ts');
  const env = { ...process.env, ASTIS_CONFIG_DIR: at('profiles') };
  saveProfile(at('profiles/bench'), keys, { ca });
  makeFile(at('plain'), bytes);
  spawnSync('age-keygen', ['-o', at('age-key')]);
  const recipient = /age1\w+/.exec(readFileSync(at('age-key'), 'utf8'))?.[0] ?? '';
  const results: Record<string, { seconds: number; megabytes: number }[]> = {};
  const run = (name: string, output: string, command: string, args: readonly string[]): void => {
    rmSync(at(output), { force: true });
    const list = results[name] ?? [];
    list.push(timed(command, args, env));
    results[name] = list;
  };
  // In turns, so that what else the machine does falls on all alike; the first round only warms the caches.
  for (let i = 0; i <= runs; i++) {
    run('age seal', 'sealed.age', 'age', ['-r', recipient, '-o', at('sealed.age'), at('plain')]);
    run('astis seal', 'sealed.astis', node, [
      cli,
      'seal',
      at('plain'),
      '--to',
      keys.address,
      '-o',
      at('sealed.astis'),
    ]);
    run('age open', 'opened.age', 'age', [
      '-d',
      '-i',
      at('age-key'),
      '-o',
      at('opened.age'),
      at('sealed.age'),
    ]);
    run('astis open', 'opened.astis', node, [cli, 'open', at('sealed.astis'), '-o', at('opened.astis')]);
  }
  const same = spawnSync('cmp', [at('plain'), at('opened.astis')]);
  if (same.status !== 0) throw new Error('what was opened is not what was sealed');
  const rate = (name: string) => (results[name] ?? []).slice(1).map(({ seconds }) => bytes / 1e6 / seconds);
  const memory = (name: string) => Math.max(...(results[name] ?? []).map(({ megabytes }) => megabytes));
  const row = (what: string, ours: string, peer: string) => [
    what,
    `${spread(rate(ours))} MB/s`,
    `${spread(rate(peer))} MB/s`,
    (median(rate(ours)) / median(rate(peer))).toFixed(2),
  ];
  const small = runtimeGcm(65_536);
  const large = runtimeGcm(1 << 20);
  const seal = median(rate('astis seal'));
  return {
    rows: [
      row('`astis seal` against `age`, whole processes', 'astis seal', 'age seal'),
      row('`astis open` against `age -d`, whole processes', 'astis open', 'age open'),
      [
        '`astis seal` against AES-256-GCM of node:crypto, 64 KiB chunks',
        `${seal.toFixed(0)} MB/s`,
        `${small.toFixed(0)} MB/s`,
        (seal / small).toFixed(2),
      ],
      [
        '`astis seal` against AES-256-GCM of node:crypto, 1 MiB chunks',
        `${seal.toFixed(0)} MB/s`,
        `${large.toFixed(0)} MB/s`,
        (seal / large).toFixed(2),
      ],
    ],
    notes: [
      `Largest memory: sealing ${memory('astis seal').toFixed(0)} MB, opening ${memory('astis open').toFixed(0)} MB (age: ${memory('age seal').toFixed(0)} and ${memory('age open').toFixed(0)} MB).`,
    ],
  };
}
