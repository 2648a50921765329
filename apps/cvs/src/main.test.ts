import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { dekCommitment, newDek } from '@astis/crypto';
import { ORGANISATION } from '@astis/protocol';
import { Database } from '@astis/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Deployment } from './deployment.fixture.ts';
import { newDeployment } from './deployment.fixture.ts';
import type { Sealed } from './organisation.fixture.ts';
import { newOrganisation } from './organisation.fixture.ts';
import { createRootKey } from './worker/root-key.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

interface Running {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** The line with this message, or the end of the process. */
  until(msg: string): Promise<Record<string, unknown>>;
  exit(): Promise<number | null>;
}

function run(env: Record<string, string>): Running {
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const note = (line: string) => {
    lines.push(line);
    for (const wake of waiting) wake();
  };
  if (child.stdout === null || child.stderr === null) throw new Error('no pipes');
  createInterface({ input: child.stdout }).on('line', note);
  createInterface({ input: child.stderr }).on('line', note);
  const ended = once(child, 'exit').then(([code]) => (typeof code === 'number' ? code : null));
  const lineWith = (msg: string) =>
    lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .find((line) => line.msg === msg);
  return {
    child,
    lines,
    exit: () => ended,
    async until(msg) {
      for (;;) {
        const line = lineWith(msg);
        if (line !== undefined) return line;
        const over = await Promise.race([
          new Promise<false>((resolve) => {
            const wake = () => {
              waiting.delete(wake);
              resolve(false);
            };
            waiting.add(wake);
          }),
          ended.then(() => true as const),
        ]);
        if (over && lineWith(msg) === undefined)
          throw new Error(`ended without "${msg}": ${lines.join('\n')}`);
      }
    },
  };
}

const portOf = (value: unknown): number => {
  if (typeof value === 'object' && value !== null && 'port' in value && typeof value.port === 'number')
    return value.port;
  throw new Error('no port');
};

/** Whether a process has these bytes anywhere in its memory. */
function memoryHas(pid: number, needle: Uint8Array): boolean {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const block = Buffer.alloc(1 << 22);
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to, mode] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? [];
      if (from === undefined || to === undefined || mode === undefined || !mode.startsWith('rw')) continue;
      const end = Number.parseInt(to, 16);
      for (let at = Number.parseInt(from, 16); at < end; at += block.length - needle.length) {
        let read = 0;
        try {
          read = readSync(memory, block, 0, Math.min(block.length, end - at), at);
        } catch {
          break;
        }
        if (block.subarray(0, read).includes(Buffer.from(needle))) return true;
      }
    }
    return false;
  } finally {
    closeSync(memory);
  }
}

const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '))
    .filter(Boolean)
    .map(Number);

/** A secret in all the ways in which it could stand somewhere. */
function marksOf(secret: Uint8Array): readonly Buffer[] {
  const bytes = Buffer.from(secret);
  const texts = [bytes.toString('hex'), bytes.toString('hex').toUpperCase()];
  // base64 at each of the three alignments, without the characters that depend on the neighbours.
  for (const shift of [0, 1, 2])
    for (const encoding of ['base64', 'base64url'] as const) {
      const text = Buffer.concat([Buffer.alloc(shift), bytes])
        .toString(encoding)
        .replace(/=+$/, '');
      texts.push(text.slice(shift === 0 ? 0 : shift + 1, -2));
    }
  return [bytes, ...texts.flatMap((text) => [Buffer.from(text), Buffer.from(text, 'utf16le')])];
}

const found = (haystack: Uint8Array, secrets: readonly Uint8Array[]): boolean =>
  secrets.some((secret) => marksOf(secret).some((mark) => Buffer.from(haystack).includes(mark)));

function* filesUnder(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}

describe('the process', () => {
  let deployment: Deployment;
  let env: Record<string, string>;

  beforeAll(async () => {
    deployment = await newDeployment();
    env = deployment.environment();
  });
  afterAll(() => deployment.end());

  test('starts, answers, shows its health, and stops in order', async () => {
    const process_ = run(env);
    const line = await process_.until('listening');
    deployment.attach(portOf(line['address']));
    const org = await newOrganisation(deployment);
    const admin = `http://127.0.0.1:${portOf(line['admin'])}`;
    expect((await fetch(`${admin}/healthz`)).status).toBe(200);
    expect((await fetch(`${admin}/readyz`)).status).toBe(200);
    const metrics = await (await fetch(`${admin}/metrics`)).text();
    expect(metrics).toContain('astis_cvs_calls_total{method="tenant.create",code="granted"} 1');
    expect(metrics).toContain('astis_cvs_workers 1');
    expect(metrics).not.toContain(org.tenantId);
    expect(existsSync(join(env['ASTIS_CVS_KEYS'] ?? '', 'service-public.asc'))).toBe(true);
    process_.child.kill('SIGTERM');
    expect(await process_.exit()).toBe(0);
    expect(process_.lines.at(-1)).toContain('"stopped"');
  });

  test('a call that runs when it is told to stop is answered first', async () => {
    const process_ = run(env);
    deployment.attach(portOf((await process_.until('listening'))['address']));
    const org = await newOrganisation(deployment);
    const calls = Array.from({ length: 10 }, (_, i) => org.holding(org.address(`late${i}`)));
    // The first answer shows that the others have arrived or are on their way.
    await Promise.race(calls);
    process_.child.kill('SIGTERM');
    const settled = await Promise.allSettled(calls);
    expect(await process_.exit()).toBe(0);
    expect(settled.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
  });

  describe('does not start', () => {
    const fails = async (changes: Record<string, string>) => {
      const process_ = run({ ...env, ...changes });
      expect(await process_.exit()).toBe(1);
      return process_.lines.join('\n');
    };

    test('without a setting, and says which', async () => {
      expect(await fails({ ASTIS_CVS_TLS_KEY: '' })).toContain('ASTIS_CVS_TLS_KEY');
    });

    test('with a root key that others can read, or with another one', async () => {
      const exposed = join(deployment.folder, 'exposed.key');
      writeFileSync(exposed, readFileSync(deployment.rootKeyFile));
      chmodSync(exposed, 0o644);
      expect(await fails({ ASTIS_CVS_ROOT_KEY: exposed })).toContain('0600');
      const other = join(deployment.folder, 'other.key');
      createRootKey(other);
      expect(await fails({ ASTIS_CVS_ROOT_KEY: other })).toContain('begun with');
      rmSync(other);
    });

    test('and tells nothing of what a file holds', async () => {
      const path = join(deployment.folder, 'secret.json');
      writeFileSync(path, '{"password": "a-telling-word"');
      expect(await fails({ ASTIS_CVS_DATABASE: path })).not.toContain('telling');
      expect(await fails({ ASTIS_GATEWAY_SERVICE_KEY: path })).not.toContain('telling');
    });
  });

  test.runIf(process.platform === 'linux')(
    'keeps root key, private keys and DEKs out of itself, its log, its answers and its database',
    async () => {
      const process_ = run(env);
      deployment.attach(portOf((await process_.until('listening'))['address']));
      const org = await newOrganisation(deployment);
      const sealer = await org.enrol('sealer');
      // All DEKs begin with the same 16 bytes, so that one search finds any of them, cut off or whole.
      const canary = newDek().slice(0, 16);
      const deks = Array.from({ length: 40 }, () => {
        const dek = newDek();
        dek.set(canary);
        return dek;
      });
      const address = org.address('guest');
      const holding = await org.holding(address);
      const organisation = await org.recoveryCertificate();
      const sealed: Sealed[] = [];
      for (const dek of deks) sealed.push(await org.seal(sealer, [holding, organisation], {}, dek));
      const guest = await org.enrol('guest');
      const capsules = sealed.map((each) => each.capsule(address));
      // Refusals walk other paths than grants do.
      const broken = capsules.map((capsule, i) => ({ ...capsule, wrap: capsules[(i + 1) % 40]?.wrap ?? '' }));
      const rewrap = { tenantId: org.tenantId, targetKeyId: guest.kem.keyId };
      const { results } = await deployment.call('rewrap', { ...rewrap, capsules: [...capsules, ...broken] });
      expect(results.filter(({ refused }) => refused === undefined)).toHaveLength(40);
      for (const each of sealed.slice(0, 5)) {
        const order = await org.custodyOrder({ action: 'recover', subject: each.artifactId });
        await deployment.call('recover', {
          tenantId: org.tenantId,
          order,
          capsule: each.capsule(ORGANISATION),
        });
      }

      const pid = process_.child.pid ?? 0;
      const rootKey = new Uint8Array(readFileSync(deployment.rootKeyFile));
      const workers = childrenOf(pid).filter((child) =>
        readFileSync(`/proc/${child}/cmdline`).includes('worker'),
      );
      expect(workers).toHaveLength(1);
      // The search finds what is there: the worker has the root key, and the caller a DEK.
      expect(memoryHas(workers[0] ?? 0, rootKey)).toBe(true);
      expect(memoryHas(process.pid, canary)).toBe(true);
      expect(memoryHas(pid, rootKey)).toBe(false);
      expect(memoryHas(pid, canary)).toBe(false);

      const secrets = [rootKey, canary, guest.kem.privateKey, sealer.kem.privateKey];
      expect(found(Buffer.from(process_.lines.join('\n')), secrets)).toBe(false);
      expect(found(Buffer.concat(deployment.captured), secrets)).toBe(false);
      const dump = await dumpOf(deployment);
      expect(found(dump, secrets)).toBe(false);
      // The public commitment of a DEK, which the statement carries, is found where it went: the search works.
      const [first] = sealed;
      if (first === undefined) throw new Error('nothing sealed');
      expect(first.statement.commitment).toEqual(dekCommitment(first.dek, first.artifactId));
      expect(found(dump, [Buffer.from(holding.kemKey.subarray(0, 32))])).toBe(true);

      process_.child.kill('SIGKILL');
      await process_.exit();
      const superuser = new Database({ ...deployment.postgres.superuser, database: 'custody' }, 1);
      await superuser.query('checkpoint');
      await superuser.close();
      let files = 0;
      for (const path of filesUnder(deployment.postgres.dataDir)) {
        files++;
        expect([path, found(readFileSync(path), [rootKey, canary])]).toEqual([path, false]);
      }
      expect(files).toBeGreaterThan(500);
    },
  );

  test('marks are found in every form, so that the search above means something', () => {
    const secret = newDek();
    const bytes = Buffer.from(secret);
    const around = (text: string) => Buffer.from(`{"x":"${text}"}`);
    const forms = [
      Buffer.concat([Buffer.from('ab'), bytes, Buffer.from('c')]),
      around(bytes.toString('hex')),
      around(bytes.toString('hex').toUpperCase()),
      around(bytes.toString('base64')),
      around(bytes.toString('base64url')),
      around(Buffer.concat([Buffer.from('a'), bytes]).toString('base64')),
      around(Buffer.concat([Buffer.from('ab'), bytes, Buffer.from('cd')]).toString('base64url')),
      Buffer.from(bytes.toString('hex'), 'utf16le'),
    ];
    for (const form of forms) expect(found(form, [secret])).toBe(true);
    expect(found(Buffer.concat(forms), [newDek()])).toBe(false);
  });
});

/** Every row of every table, as text and as the bytes that stand in it. */
async function dumpOf(deployment: Deployment): Promise<Uint8Array> {
  const superuser = new Database({ ...deployment.postgres.superuser, database: 'custody' }, 1);
  try {
    const tables = await superuser.query<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'`,
    );
    const parts: Buffer[] = [];
    for (const { name } of tables)
      for (const { row } of await superuser.query<{ row: string }>(`select t::text as row from ${name} t`)) {
        parts.push(Buffer.from(row));
        for (const [, hex] of row.matchAll(/\\\\x([0-9a-f]+)/g)) parts.push(Buffer.from(hex ?? '', 'hex'));
      }
    expect(parts.length).toBeGreaterThan(100);
    return Buffer.concat(parts);
  } finally {
    await superuser.close();
  }
}
