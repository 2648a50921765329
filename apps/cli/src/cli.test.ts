/**
 * The "What must work at the end", through the command line and against real processes: gateway, CVS and
 * PostgreSQL of a stack of their own.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Stack } from '@astis/testkit';
import { startStack, temporaryFolder } from '@astis/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ran, RunOptions } from './cli.fixture.ts';
import { json, launch, run } from './cli.fixture.ts';

const folder = temporaryFolder();
const work = join(folder.path, 'work');
const config = join(folder.path, 'config');
const caFile = join(folder.path, 'ca.pem');
const operatorFile = join(folder.path, 'operator');
let stack: Stack;

type Person = 'alice' | 'bob' | 'carol';

/** `astis --profile <who> …` in the work folder. */
const as = (who: string, args: readonly string[], options: Partial<RunOptions> = {}): Promise<Ran> =>
  run(['--profile', who, ...args], {
    cwd: work,
    ...options,
    env: { ASTIS_CONFIG_DIR: config, ...options.env },
  });

const file = (name: string): string => join(work, name);

/** Runs a command that must succeed, and reads its JSON. */
async function ok(who: Person, ...args: readonly string[]) {
  const ran = await as(who, ['--json', ...args]);
  expect(ran.err, args.join(' ')).toBe('');
  expect(ran.code).toBe(0);
  return json(ran);
}

/** Runs a command that must fail, and reads its error. */
async function refused(
  who: string,
  ...args: readonly string[]
): Promise<{ code: number | null; error: string }> {
  const ran = await as(who, ['--json', ...args]);
  expect(ran.text).toBe('');
  const { error }: { error: string } = JSON.parse(ran.err.trim().split('\n').at(-1) ?? '');
  return { code: ran.code, error };
}

let count = 0;
/** A fresh file with this content, sealed by alice. */
async function sealed(content: string | Uint8Array, ...args: readonly string[]) {
  count += 1;
  const name = `file-${count}.bin`;
  writeFileSync(file(name), content);
  const result = await ok('alice', 'seal', name, '--to', 'bob@cli.test', ...args);
  return { name, artifact: `${name}.astis`, id: String(result.artifactId), result };
}

beforeAll(async () => {
  const { mkdirSync } = await import('node:fs');
  mkdirSync(work);
  stack = await startStack({ home: join(folder.path, 'stack') });
  writeFileSync(caFile, stack.ca);
  writeFileSync(operatorFile, Buffer.from(stack.operatorKey).toString('base64url'), { mode: 0o600 });
  const made = await as('none', [
    ...['tenant', 'create', 'CLI', '--gateway', stack.url, '--operator-key', operatorFile],
    ...['--domain', 'cli.test', '--admin', 'alice@cli.test', '--ca', caFile],
  ]);
  expect(made.code, made.err).toBe(0);
  const enrol = (who: Person, code: string) =>
    as(who, ['enrol', '-', '--ca', caFile, '--no-passphrase'], { input: code });
  const alice = await enrol('alice', made.text);
  expect(alice.code, alice.err).toBe(0);
  expect(alice.err).toContain('without a passphrase');
  for (const who of ['bob', 'carol'] as const) {
    const invited = await as('alice', ['people', 'invite', `${who}@cli.test`, '--group', 'staff']);
    expect(invited.code, invited.err).toBe(0);
    expect((await enrol(who, invited.text)).code).toBe(0);
  }
});

afterAll(async () => {
  await stack?.stop();
  folder.remove();
});

describe('seal and open', () => {
  test('what is sealed can be opened by its recipients, byte for byte, and by nobody else', async () => {
    const content = randomBytes(3_000_001);
    const { name, artifact, result } = await sealed(content, '--ttl', '2h', '--label', 'plans');
    expect(result).toMatchObject({ file: artifact, labels: ['plans'] });
    expect(result.recipients.map(({ address }: { address: string }) => address).sort()).toEqual([
      'alice@cli.test',
      'bob@cli.test',
    ]);
    expect(readFileSync(file(artifact)).includes(content.subarray(0, 64))).toBe(false);

    const opened = await ok('bob', 'open', artifact, '-o', 'out.bin');
    expect(opened).toMatchObject({ sealer: 'alice@cli.test', file: 'out.bin' });
    expect(readFileSync(file('out.bin')).equals(content)).toBe(true);
    expect(statSync(file('out.bin')).mode & 0o777).toBe(0o600);
    expect((await as('alice', ['open', artifact, '-o', '-'])).out.equals(content)).toBe(true);

    expect(await refused('carol', 'open', artifact, '-o', 'carol.bin')).toEqual({
      code: 5,
      error: 'not_found',
    });
    expect(existsSync(file('carol.bin'))).toBe(false);
    expect(existsSync(file(name))).toBe(true);
  });

  test('standard input to standard output, empty input too', async () => {
    for (const content of [new Uint8Array(0), Buffer.from('a line\n'), randomBytes(2_500_000)]) {
      const seal = await as('alice', ['seal', '-', '--to', 'bob@cli.test', '-o', '-'], { input: content });
      expect(seal.code, seal.err).toBe(0);
      expect(seal.err).toContain('Sealed to bob@cli.test');
      const open = await as('bob', ['--json', 'open', '-'], { input: seal.out });
      expect(open.code, open.err).toBe(0);
      expect(open.out.equals(content)).toBe(true);
      // The content has stdout, so the result is on stderr.
      expect(JSON.parse(open.err)).toMatchObject({ sealer: 'alice@cli.test', file: '-' });
    }
  });

  test('nothing is overwritten without --force, and a link keeps being one', async () => {
    const { artifact } = await sealed('new');
    writeFileSync(file('there'), 'old');
    expect(await refused('bob', 'open', artifact, '-o', 'there')).toEqual({ code: 2, error: 'usage' });
    expect(readFileSync(file('there'), 'utf8')).toBe('old');
    symlinkSync('there', file('link'));
    expect((await as('bob', ['open', artifact, '-o', 'link', '--force'])).code).toBe(0);
    expect(readFileSync(file('there'), 'utf8')).toBe('new');
    expect(await refused('alice', 'seal', 'there', '--to', 'bob@cli.test', '-o', artifact)).toEqual({
      code: 2,
      error: 'usage',
    });
  });

  test('what the gateway refuses leaves no artifact behind', async () => {
    writeFileSync(file('too-long'), 'x');
    const before = readdirSync(work).sort();
    expect(await refused('alice', 'seal', 'too-long', '--to', 'bob@cli.test', '--ttl', '999d')).toEqual({
      code: 3,
      error: 'ttl_exceeds_maximum',
    });
    expect(readdirSync(work).sort()).toEqual(before);
  });

  test('Ctrl-C leaves nothing half written and takes the capsules back', async () => {
    const known = (await ok('alice', 'capsule', 'list')).items.length;
    const running = launch(['--profile', 'alice', 'seal', '-', '--to', 'bob@cli.test', '-o', 'cut.astis'], {
      cwd: work,
      env: { ASTIS_CONFIG_DIR: config },
    });
    running.child.stdin?.write(randomBytes(2_000_000));
    // It is at work once its capsules are stored.
    const listed = async () => (await ok('alice', 'capsule', 'list')).items;
    await expect.poll(async () => (await listed()).length, { timeout: 60_000 }).toBe(known + 1);
    running.child.kill('SIGINT');
    const ran = await running.ended;
    expect(ran.code, ran.err).toBe(130);
    expect(readdirSync(work).filter((name) => name.includes('cut.astis'))).toEqual([]);
    const [newest] = await listed();
    const shown = await ok('alice', 'capsule', 'show', newest.artifactId);
    expect(shown.capsules.map(({ status }: { status: string }) => status)).toEqual(['revoked', 'revoked']);
  });

  test('a changed artifact is not opened, and nothing of it is written', async () => {
    const { artifact } = await sealed(randomBytes(2_000_000));
    const bytes = readFileSync(file(artifact));
    const cases: readonly (readonly [string, Buffer])[] = [
      ['a flipped bit in a chunk', flipped(bytes, 1_000_000)],
      ['a flipped bit in the signature', flipped(bytes, bytes.length - 1)],
      ['cut off', bytes.subarray(0, bytes.length - 100_000)],
      ['a byte more', Buffer.concat([bytes, Buffer.from([0])])],
      ['no artifact at all', Buffer.from('hello')],
    ];
    for (const [what, changed] of cases) {
      writeFileSync(file('changed.astis'), changed);
      const ran = await as('bob', ['open', 'changed.astis', '-o', 'changed.out']);
      expect(ran.code, `${what}: ${ran.err}`).toBe(6);
      expect(existsSync(file('changed.out'))).toBe(false);
    }
  });

  test('a large file seals and opens in constant memory, with progress as JSON', async () => {
    writeFileSync(file('large'), '');
    truncateSync(file('large'), 400_000_000);
    const report = join(folder.path, 'max-rss.mjs');
    writeFileSync(
      report,
      `process.on('exit', () => process.stderr.write(JSON.stringify({ maxRss: process.resourceUsage().maxRSS }) + '\\n'));`,
    );
    const measure = async (who: Person, ...args: readonly string[]): Promise<number> => {
      const ran = await as(who, ['--json', ...args], { env: { NODE_OPTIONS: `--import ${report}` } });
      expect(ran.code, ran.err).toBe(0);
      const lines = ran.err
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      return lines.find((line) => 'maxRss' in line).maxRss * 1024;
    };
    expect(await measure('alice', 'seal', 'large', '--to', 'bob@cli.test')).toBeLessThan(150e6);
    expect(await measure('bob', 'open', 'large.astis', '-o', 'large.out')).toBeLessThan(150e6);
    expect(statSync(file('large.out')).size).toBe(400_000_000);
  });
});

const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
};

describe('release ends', () => {
  test('after the TTL', async () => {
    const { artifact } = await sealed('soon gone', '--ttl', '3s');
    await expect
      .poll(async () => (await as('bob', ['--json', 'open', artifact, '-o', '-'])).code, { timeout: 30_000 })
      .toBe(3);
    expect(await refused('bob', 'open', artifact, '-o', 'gone')).toEqual({ code: 3, error: 'expired' });
  });

  test('when it is revoked, for one recipient or for all', async () => {
    const { artifact, id } = await sealed('revocable');
    await ok('alice', 'capsule', 'revoke', artifact, '--to', 'bob@cli.test', '--reason', 'by mistake');
    const ran = await as('bob', ['open', artifact, '-o', '-']);
    expect(ran.code).toBe(3);
    expect(ran.err).toContain('revoked');
    expect((await as('alice', ['open', artifact, '-o', '-'])).text).toBe('revocable');
    await ok('alice', 'capsule', 'revoke', id);
    expect(await refused('alice', 'open', artifact, '-o', 'x')).toEqual({ code: 3, error: 'revoked' });
  });

  test('when it is shortened; and later when it is extended, past the sealed end by the sealer alone', async () => {
    const { artifact, id } = await sealed('moving', '--ttl', '1h');
    const ends = async (...args: readonly string[]): Promise<number> => {
      const { capsules } = await ok('alice', 'capsule', ...args);
      return new Date(capsules[0].expiresAt).getTime() - Date.now();
    };
    expect(await ends('shorten', artifact, '10m')).toBeLessThan(601_000);
    expect(await ends('extend', artifact, '50m')).toBeGreaterThan(2_900_000);
    expect(await ends('extend', id, '3h')).toBeGreaterThan(10_700_000);
    expect(await refused('alice', 'capsule', 'extend', id, '5m')).toEqual({ code: 2, error: 'usage' });
    expect(await refused('bob', 'capsule', 'extend', id, '5h')).toEqual({ code: 3, error: 'forbidden' });
    expect((await as('bob', ['open', artifact, '-o', '-'])).text).toBe('moving');
  });

  test('when the policy says so, and a dry run tells who could open it and why not', async () => {
    const { artifact } = await sealed('contract', '--label', 'contract');
    const { document, version } = await ok('alice', 'policy', 'get');
    const forbid = `@id("contracts-closed")\n@reason("Contracts are closed.")\nforbid (principal, action == Action::"release", resource)\nwhen { resource.labels.contains("contract") };\n`;
    writeFileSync(file('policy.json'), JSON.stringify({ ...document, cedar: document.cedar + forbid }));
    expect((await ok('alice', 'policy', 'diff', 'policy.json')).policies.added).toHaveLength(1);
    const draft = await ok('alice', 'policy', 'check', artifact, '--policy', 'policy.json');
    const bob = draft.people.find(({ address }: { address: string }) => address === 'bob@cli.test');
    expect(bob).toMatchObject({ outcome: 'deny', reasons: ['Contracts are closed.'] });
    expect((await as('bob', ['open', artifact, '-o', '-'])).text).toBe('contract');

    expect(await ok('alice', 'policy', 'set', 'policy.json')).toMatchObject({ version: version + 1 });
    const ran = await as('bob', ['open', artifact, '-o', '-']);
    expect(ran.code).toBe(3);
    expect(ran.err).toContain('Contracts are closed.');
    expect(await refused('bob', 'policy', 'set', 'policy.json')).toEqual({ code: 3, error: 'forbidden' });

    writeFileSync(file('broken.json'), JSON.stringify({ ...document, cedar: 'permit (' }));
    expect(await refused('alice', 'policy', 'set', 'broken.json')).toEqual({
      code: 2,
      error: 'policy_invalid',
    });
    writeFileSync(file('policy.json'), JSON.stringify(document));
    await ok('alice', 'policy', 'set', 'policy.json');
    expect((await ok('alice', 'policy', 'history')).items).toHaveLength(version + 2);
  });

  test('until a second person approves it', async () => {
    const { artifact } = await sealed('two people', '--label', 'two');
    const { document } = await ok('alice', 'policy', 'get');
    const second = `@id("two-people")\n@reason("Needs approval.")\nforbid (principal, action == Action::"release", resource)\nwhen { resource.labels.contains("two") }\nunless { context.approved };\n`;
    writeFileSync(file('two.json'), JSON.stringify({ ...document, cedar: document.cedar + second }));
    await ok('alice', 'policy', 'set', 'two.json');
    const asked = await as('bob', ['open', artifact, '-o', '-']);
    expect(asked.code).toBe(3);
    const id = /approval approve ([0-9a-f-]{36})/.exec(asked.err)?.[1] ?? '';
    expect(await refused('bob', 'approval', 'approve', id)).toMatchObject({ code: 3, error: 'forbidden' });
    expect((await ok('alice', 'approval', 'list')).items).toMatchObject([{ id, status: 'pending' }]);
    expect(await ok('alice', 'approval', 'approve', id)).toMatchObject({ status: 'approved' });
    expect((await as('bob', ['open', artifact, '-o', '-'])).text).toBe('two people');
    writeFileSync(file('two.json'), JSON.stringify(document));
    await ok('alice', 'policy', 'set', 'two.json');
  });

  test('when the recipient is removed; who was invited meanwhile opens what waited', async () => {
    const invited = await as('alice', ['people', 'invite', 'dora@cli.test']);
    await as('dora', ['enrol', '-', '--ca', caFile, '--no-passphrase'], { input: invited.text });
    writeFileSync(file('for-dora'), 'for dora');
    await ok('alice', 'seal', 'for-dora', '--to', 'dora@cli.test');
    expect((await as('dora', ['open', 'for-dora.astis', '-o', '-'])).text).toBe('for dora');
    expect(await ok('alice', 'people', 'remove', 'dora@cli.test')).toMatchObject({ status: 'removed' });
    expect((await refused('dora', 'open', 'for-dora.astis', '-o', 'x')).code).toBe(4);
    expect(await refused('alice', 'people', 'remove', 'dora@cli.test')).toEqual({
      code: 5,
      error: 'not_found',
    });
  });

  test('what is sealed to somebody without a key waits until they enrol', async () => {
    writeFileSync(file('waits'), 'waited');
    const result = await ok('alice', 'seal', 'waits', '--to', 'emil@cli.test');
    expect(result.recipients).toContainEqual(
      expect.objectContaining({ address: 'emil@cli.test', kind: 'holding' }),
    );
    const invited = await as('alice', ['people', 'invite', 'emil@cli.test']);
    const enrolled = await as('emil', ['--json', 'enrol', '-', '--ca', caFile, '--no-passphrase'], {
      input: invited.text,
    });
    expect(json(enrolled)).toMatchObject({ address: 'emil@cli.test', rewrapped: 1 });
    expect((await as('emil', ['open', 'waits.astis', '-o', '-'])).text).toBe('waited');
    // A code is good once.
    const again = await as('emil2', ['--json', 'enrol', '-', '--ca', caFile, '--no-passphrase'], {
      input: invited.text,
    });
    expect(again.code).toBe(4);
    expect(JSON.parse(again.err).error).toBe('enrolment_invalid');
  });
});

describe('the log', () => {
  test('has the grant and the refusal, and verifies offline with pins or with keys by flags', async () => {
    const { artifact, id } = await sealed('logged');
    await as('bob', ['open', artifact, '-o', '-']);
    await ok('alice', 'capsule', 'revoke', artifact);
    await as('bob', ['open', artifact, '-o', '-']);
    const { items } = await ok('alice', 'audit', 'list', '--subject', id);
    expect(items.map(({ kind }: { kind: string }) => kind)).toEqual([
      'release.denied',
      'capsule.revoked',
      'release.granted',
      'capsule.created',
    ]);
    expect(items[0].event).toMatchObject({ actor: 'bob@cli.test', code: 'revoked' });
    expect(await refused('bob', 'audit', 'list')).toEqual({ code: 3, error: 'forbidden' });

    await ok('alice', 'audit', 'export', '-o', 'log.jsonl', '--force');
    // Bob's own pins and receipts: he opened things, so his receipts must be in it.
    const report = await ok('bob', 'audit', 'verify', 'log.jsonl');
    expect(report).toMatchObject({ ok: true, findings: [] });
    expect(report.checkedReceipts).toBeGreaterThan(0);
    const { checkpointKey, receiptKey, tenantId } = await ok('bob', 'whoami');
    const nowhere = { env: { ASTIS_CONFIG_DIR: join(folder.path, 'nowhere') } };
    const byFlags = await run(
      [
        ...['audit', 'verify', 'log.jsonl', '--checkpoint-key', checkpointKey, '--tenant', tenantId],
        ...['--receipt-key', receiptKey, '--receipts', join(config, 'bob', 'receipts.jsonl')],
      ],
      { cwd: work, ...nowhere },
    );
    expect(byFlags.code, byFlags.err).toBe(0);
    const otherKey = await run(['audit', 'verify', 'log.jsonl', '--checkpoint-key', receiptKey], {
      cwd: work,
      ...nowhere,
    });
    expect(otherKey.code).toBe(6);
    const piped = await as('bob', ['audit', 'verify', '-'], { input: readFileSync(file('log.jsonl')) });
    expect(piped.code).toBe(0);
  });

  test('shows every change, deletion, reordering and, by receipts or a later checkpoint, truncation', async () => {
    await ok('alice', 'audit', 'export', '-o', 'early.jsonl');
    const { artifact } = await sealed('after the early export');
    await as('bob', ['open', artifact, '-o', '-']);
    await ok('alice', 'audit', 'checkpoint', '-o', 'later.note');
    await ok('alice', 'audit', 'export', '-o', 'whole.jsonl');
    const lines = readFileSync(file('whole.jsonl'), 'utf8').trimEnd().split('\n');
    const write = (changed: readonly string[]) =>
      writeFileSync(file('tampered.jsonl'), `${changed.join('\n')}\n`);
    const findings = async (who: Person = 'carol', ...more: readonly string[]): Promise<string[]> => {
      const ran = await as(who, ['--json', 'audit', 'verify', 'tampered.jsonl', ...more]);
      expect(ran.code).toBe(6);
      return Object.keys(json(ran).counts);
    };
    write(lines.map((line, i) => (i === 3 ? line.replace('person.', 'persxn.') : line)));
    expect(await findings()).toContain('changed_event');
    write(lines.filter((_line, i) => i !== 4));
    expect(await findings()).toContain('missing_entry');
    write(lines.map((line, i) => (i === 4 ? lines[5] : i === 5 ? lines[4] : line) ?? ''));
    expect(await findings()).toContain('reordered');
    write(lines.slice(0, -1));
    expect(await findings()).toContain('truncated');

    // The early export is whole and signed: only what was seen later shows that entries are missing.
    writeFileSync(file('tampered.jsonl'), readFileSync(file('early.jsonl')));
    expect((await as('carol', ['audit', 'verify', 'tampered.jsonl'])).code).toBe(0);
    expect(await findings('carol', '--checkpoint', 'later.note')).toContain('truncated');
    expect(await findings('bob')).toContain('truncated');
  });
});

describe('people, domains, the organisation', () => {
  test('groups, listing, domains', async () => {
    expect(await ok('alice', 'people', 'groups', 'bob@cli.test', 'legal', 'staff')).toMatchObject({
      groups: ['legal', 'staff'],
    });
    const { items } = await ok('bob', 'people', 'list');
    expect(items.map(({ address }: { address: string }) => address)).toContain('carol@cli.test');
    const added = await ok('alice', 'domain', 'add', 'other.test');
    expect(added.txtValue).toMatch(/^astis-domain=/);
    expect(await refused('alice', 'domain', 'verify', 'other.test')).toEqual({
      code: 3,
      error: 'domain_unproven',
    });
    expect((await ok('alice', 'domain', 'list')).items).toHaveLength(2);
    expect(await refused('bob', 'people', 'invite', 'mallory@cli.test')).toEqual({
      code: 3,
      error: 'forbidden',
    });
  });

  test('recovery is off by default; where it is on it takes two, and the key can be rotated', async () => {
    writeFileSync(file('recoverable'), 'recovered');
    expect(await refused('bob', 'seal', 'recoverable', '--to', 'carol@cli.test', '--recovery')).toEqual({
      code: 3,
      error: 'recovery_disabled',
    });
    const { document } = await ok('alice', 'policy', 'get');
    writeFileSync(file('recovery.json'), JSON.stringify({ ...document, recovery: true }));
    await ok('alice', 'policy', 'set', 'recovery.json');
    await ok('bob', 'seal', 'recoverable', '--to', 'carol@cli.test', '--recovery');
    expect(await ok('alice', 'organisation', 'rotate', '--wait')).toMatchObject({ status: 'done', done: 1 });
    expect((await ok('alice', 'organisation', 'status')).items).toHaveLength(1);
    const ran = await as('alice', ['organisation', 'recover', 'recoverable.astis', '-o', '-']);
    expect(ran.code).toBe(3);
    const id = /approval approve ([0-9a-f-]{36})/.exec(ran.err)?.[1] ?? '';
    const invited = await as('alice', ['people', 'invite', 'admin2@cli.test', '--admin']);
    await as('admin2', ['enrol', '-', '--ca', caFile, '--no-passphrase'], { input: invited.text });
    expect((await as('admin2', ['approval', 'approve', id])).code).toBe(0);
    const recovered = await as('alice', ['organisation', 'recover', 'recoverable.astis', '-o', '-']);
    expect(recovered.text, recovered.err).toBe('recovered');
  });
});

describe('profiles', () => {
  test('sealed under a passphrase they open with it alone, and keys are for their user alone', async () => {
    const secret = join(folder.path, 'passphrase');
    writeFileSync(secret, 'correct horse battery staple\n');
    const invited = await as('alice', ['people', 'invite', 'fred@cli.test']);
    const env = { ASTIS_PASSPHRASE_FILE: secret };
    const enrolled = await as('fred', ['enrol', '-', '--ca', caFile], { input: invited.text, env });
    expect(enrolled.code, enrolled.err).toBe(0);
    expect(enrolled.err).not.toContain('without a passphrase');
    const keys = join(config, 'fred', 'keys.json');
    expect(readFileSync(keys, 'utf8')).toContain('argon2id');
    expect(statSync(keys).mode & 0o777).toBe(0o600);
    expect((await as('fred', ['people', 'list'], { env })).code).toBe(0);
    expect(await refused('fred', 'people', 'list')).toEqual({ code: 4, error: 'passphrase_needed' });
    writeFileSync(secret, 'wrong');
    const wrong = await as('fred', ['--json', 'people', 'list'], { env });
    expect(wrong.code).toBe(4);
    expect(JSON.parse(wrong.err).error).toBe('passphrase_wrong');
  });

  test('a code is not used up when its keys could not be saved', async () => {
    const invited = await as('alice', ['people', 'invite', 'gina@cli.test']);
    const into = (name: string) =>
      as(name, ['enrol', '-', '--ca', caFile, '--no-passphrase'], { input: invited.text });
    expect((await into('bob')).code).toBe(2);
    expect((await into('gina')).code).toBe(0);
  });

  test('are listed and chosen', async () => {
    const bare = (args: readonly string[]) => run(args, { cwd: work, env: { ASTIS_CONFIG_DIR: config } });
    const several = await bare(['whoami']);
    expect(several.code).toBe(2);
    expect(several.err).toContain('astis profile use');
    expect((await bare(['profile', 'use', 'bob'])).code).toBe(0);
    expect((await bare(['whoami'])).text).toContain('bob@cli.test');
    const { items } = json(await bare(['--json', 'profile', 'list']));
    expect(items.filter(({ current }: { current: boolean }) => current)).toMatchObject([
      { name: 'bob', address: 'bob@cli.test' },
    ]);
    expect((await bare(['profile', 'use', 'nobody'])).code).toBe(4);
  });

  test('no message, no file of the config folder and no error shows a private key', async () => {
    const { signingKey, kemKey }: { signingKey: string; kemKey: string } = JSON.parse(
      readFileSync(join(config, 'alice', 'keys.json'), 'utf8'),
    );
    const said: string[] = [];
    for (const args of [['whoami'], ['--json', 'whoami'], ['open', 'nothing'], ['people', 'list']]) {
      const ran = await as('alice', args);
      said.push(ran.text, ran.err);
    }
    for (const name of readdirSync(join(config, 'alice'))) {
      if (name !== 'keys.json') said.push(readFileSync(join(config, 'alice', name), 'utf8'));
    }
    for (const secret of [signingKey, kemKey]) expect(said.some((text) => text.includes(secret))).toBe(false);
  });
});

describe('usage', () => {
  const bare = (args: readonly string[]) =>
    run(args, { cwd: work, env: { ASTIS_CONFIG_DIR: join(folder.path, 'nowhere') } });

  test('mistakes are exit code 2 and say what to do', async () => {
    const cases: readonly (readonly [readonly string[], string])[] = [
      [['sael', 'x'], 'unknown command'],
      [['open'], 'missing required argument'],
      [['seal', 'x'], "required option '-t, --to"],
      [['open', 'x', '--nonsense'], 'unknown option'],
      [['completion', 'tcsh'], 'Allowed choices'],
      [['enrol', 'not-a-code', '--no-passphrase'], 'enrolment code'],
    ];
    for (const [args, message] of cases) {
      const ran = await bare(args);
      expect(ran.code, args.join(' ')).toBe(2);
      expect(ran.err).toContain(message);
      expect(ran.text).toBe('');
    }
    const inside: readonly (readonly string[])[] = [
      ['seal', 'nowhere.txt', '--to', 'bob@cli.test'],
      ['seal', '.', '--to', 'bob@cli.test'],
      ['seal', caFile, '--to', 'not an address'],
      ['seal', caFile, '--to', 'bob@cli.test', '--ttl', '2 hours', '-o', 'n'],
      ['open', caFile],
      ['capsule', 'show', 'neither-file-nor-id'],
      ['capsule', 'extend', 'AAAAAAAAAAAAAAAAAAAAAA', 'tomorrow'],
    ];
    for (const args of inside) expect((await as('alice', args)).code, args.join(' ')).toBe(2);
  });

  test('without a profile, without a gateway, without permission', async () => {
    const none = await bare(['whoami']);
    expect(none.code).toBe(4);
    expect(none.err).toContain('astis enrol CODE');
    expect(await refused('alice', 'capsule', 'show', 'AAAAAAAAAAAAAAAAAAAAAA')).toEqual({
      code: 5,
      error: 'not_found',
    });
    const profile = JSON.parse(readFileSync(join(config, 'alice', 'profile.json'), 'utf8'));
    const away = join(folder.path, 'away');
    const { cpSync } = await import('node:fs');
    cpSync(join(config, 'alice'), away, { recursive: true });
    writeFileSync(
      join(away, 'profile.json'),
      JSON.stringify({ ...profile, gatewayUrl: 'https://localhost:1' }),
    );
    expect(await refused(away, 'people', 'list')).toEqual({ code: 7, error: 'gateway_unreachable' });
    // Another CA than the pinned one: whoever answers there is not our gateway.
    writeFileSync(join(away, 'profile.json'), JSON.stringify({ ...profile, ca: undefined }));
    expect((await refused(away, 'people', 'list')).code).toBe(7);
    chmodSync(join(away, 'profile.json'), 0o600);
  });

  test('help and completion know every command', async () => {
    const help = await bare(['--help']);
    expect(help.code).toBe(0);
    const names = [
      ...['seal', 'open', 'capsule', 'policy', 'approval', 'audit', 'enrol', 'whoami', 'profile', 'people'],
      ...['domain', 'organisation', 'tenant', 'dev', 'completion'],
    ];
    for (const name of names) expect(help.text).toContain(name);
    for (const shell of ['bash', 'zsh', 'fish']) {
      const script = await bare(['completion', shell]);
      expect(script.code).toBe(0);
      for (const word of ['capsule', 'revoke', 'accept-new-key']) expect(script.text).toContain(word);
    }
  });

  test('bash completes subcommands', async () => {
    const { spawnSync } = await import('node:child_process');
    const script = (await bare(['completion', 'bash'])).text;
    const asked = `${script}\nCOMP_WORDS=(astis capsule re); COMP_CWORD=2; _astis; echo "\${COMPREPLY[@]}"`;
    expect(spawnSync('bash', ['-c', asked], { encoding: 'utf8' }).stdout.trim()).toBe('revoke');
  });
});
