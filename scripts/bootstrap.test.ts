/** The bootstrap in small checkouts of its own, with commands that only write down how they were called. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const scripts = fileURLToPath(new URL('.', import.meta.url));

const LOCKED = {
  '': { name: 'checkout' },
  'packages/own': { version: '1.0.0' },
  'node_modules/own': { resolved: 'packages/own', link: true },
  'node_modules/node': { version: '24.1.2', integrity: 'sha512-node' },
  'node_modules/library': { version: '1.0.0', integrity: 'sha512-library' },
  'node_modules/elsewhere': { version: '1.0.0', integrity: 'sha512-else', optional: true, os: ['plan9'] },
};

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'astis-bootstrap-'));
  mkdirSync(join(root, 'scripts'));
  cpSync(join(scripts, 'bootstrap.mjs'), join(root, 'scripts', 'bootstrap.mjs'));
  packages('present /usr/bin/env there already');
  lockfile('package-lock.json', LOCKED);
  command('npm', `echo "npm $* PATH=$PATH" >> ${root}/calls`);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function lockfile(path: string, content: Readonly<Record<string, unknown>>): void {
  writeFileSync(join(root, path), JSON.stringify({ packages: content }));
}

function packages(line: string): void {
  writeFileSync(join(root, 'scripts', 'debian-packages.txt'), `# name file use\n${line}\n`);
}

function command(name: string, script: string, folder = 'bin'): void {
  mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(root, folder, name), 0o755);
}

/** As `npm ci` leaves it, with a Node of this version. */
function install(installed: Readonly<Record<string, unknown>>, version = 'v24.1.2'): void {
  command('node', `echo ${version}`, 'node_modules/.bin');
  const { '': _, 'node_modules/elsewhere': __, ...there } = installed;
  lockfile('node_modules/.package-lock.json', there);
}

function bootstrap(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'scripts/bootstrap.mjs'), ...args],
    {
      encoding: 'utf8',
      env: { PATH: [join(root, 'node_modules/.bin'), join(root, 'bin')].join(':') },
    },
  );
  const file = join(root, 'calls');
  return { status, stdout, stderr, calls: existsSync(file) ? readFileSync(file, 'utf8') : '' };
}

test('says and does nothing where all is there', () => {
  install(LOCKED);
  expect(bootstrap('--test')).toEqual({ status: 0, stdout: '', stderr: '', calls: '' });
});

test('installs into a fresh checkout, by an npm that does not run on what it replaces', () => {
  command(
    'npm',
    `echo "npm $* PATH=$PATH" >> ${root}/calls; /bin/mkdir -p ${root}/node_modules/.bin; \
/bin/printf '#!/bin/sh\\necho v24.1.2\\n' > ${root}/node_modules/.bin/node; /bin/chmod +x ${root}/node_modules/.bin/node`,
  );
  const { status, stdout, calls } = bootstrap();
  expect(status).toBe(0);
  expect(stdout).toBe('');
  expect(calls).toMatch(/^npm ci .*--ignore-scripts=false/);
  expect(calls).toContain(`PATH=${join(root, 'bin')}\n`);
});

test.each([
  ['version', { version: '0.9.0', integrity: 'sha512-library' }],
  ['content', { version: '1.0.0', integrity: 'sha512-other' }],
  ['presence', undefined],
])('installs again when a package differs from the lockfile in its %s', (_what, library) => {
  const { 'node_modules/library': _, ...others } = LOCKED;
  install(library === undefined ? others : { ...others, 'node_modules/library': library });
  expect(bootstrap().calls).toMatch(/^npm ci /);
});

test('fails when npm does', () => {
  command('npm', 'exit 7');
  const { status, stderr } = bootstrap();
  expect(status).toBe(1);
  expect(stderr).toMatch(/npm ci.* failed/);
});

test('fails when the Node that was installed is not the one that is pinned', () => {
  install(LOCKED, 'v20.0.0');
  const { status, stderr } = bootstrap();
  expect(status).toBe(1);
  expect(stderr).toContain('is not Node v24.1.2');
});

test('without apt-get it says what is missing, what for, and how to install it', () => {
  install(LOCKED);
  packages('the-package /nowhere/file the reason');
  const { status, stderr } = bootstrap('--test');
  expect(status).toBe(1);
  expect(stderr).toContain('there is no apt-get');
  expect(stderr).toContain('  the-package (/nowhere/file): the reason\n');
  expect(stderr).toContain('sudo apt-get install the-package');
  expect(bootstrap().status).toBe(0);
});

test('an installation after which a file is still missing is not taken for one', () => {
  install(LOCKED);
  packages('the-package /nowhere/file the reason');
  for (const name of ['sudo', 'env']) command(name, `echo "${name} $*" >> ${root}/calls`);
  command('apt-get', 'exit 0');
  const { status, stderr, calls } = bootstrap('--test');
  expect(calls).toMatch(/apt-get -qq install -y --no-install-recommends the-package/);
  expect(status).toBe(1);
  expect(stderr).toContain('still missing after the installation: /nowhere/file');
});
