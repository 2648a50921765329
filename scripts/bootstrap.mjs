// Sets up a fresh checkout. Runs on the machine's own Node (20 or later) and before anything is installed, so it
// is plain JavaScript without dependencies. `--test` adds the Debian packages that tests and benchmarks use.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const lockfile = readLockfile(join(root, 'package-lock.json')) ?? {};

function fail(message) {
  console.error(`astis: ${message}`);
  process.exit(1);
}

/** Runs a command whose output goes to standard error: standard output belongs to the program that comes after us. */
function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (error !== undefined) fail(`\`${command}\` can not be run: ${error.message}`);
  if (status !== 0) fail(`\`${[command, ...args].join(' ')}\` failed; its output is above.`);
}

const succeeds = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

function readLockfile(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : undefined;
}

function isForThisPlatform({ os, cpu }) {
  return (os?.includes(process.platform) ?? true) && (cpu?.includes(process.arch) ?? true);
}

/** Whether what npm wrote down about node_modules is what the lockfile asks for. */
function installedAsLocked() {
  const installed = readLockfile(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return false;
  return Object.entries(lockfile)
    .filter(([path, wanted]) => path.includes('node_modules/') && isForThisPlatform(wanted))
    .every(([path, wanted]) => {
      const found = installed[path];
      if (found === undefined) return wanted.optional === true;
      return found.version === wanted.version && found.integrity === wanted.integrity;
    });
}

/** npm must not run on the Node below node_modules, which it is about to replace. */
function environmentOutside() {
  const inside = join(root, 'node_modules') + sep;
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((part) => !`${part}${sep}`.startsWith(inside));
  return { ...process.env, PATH: path.join(delimiter), npm_config_update_notifier: 'false' };
}

function installPackages() {
  if (installedAsLocked()) return;
  console.error('astis: installing packages (npm ci)');
  run(
    'npm',
    [
      'ci',
      '--include=dev',
      '--include=optional',
      '--ignore-scripts=false',
      '--loglevel=error',
      '--no-audit',
      '--no-fund',
    ],
    {
      env: environmentOutside(),
    },
  );
}

function checkNode() {
  const wanted = `v${lockfile['node_modules/node']?.version}`;
  const node = join(root, 'node_modules', '.bin', 'node');
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (stdout?.trim() !== wanted) {
    fail(
      `${node} is not Node ${wanted}, which the package \`node\` should have put there. Remove node_modules, and try again.`,
    );
  }
}

function missingDebianPackages() {
  return readFileSync(join(root, 'scripts', 'debian-packages.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' '))
    .map(([name, file, ...use]) => ({ name, file, use: use.join(' ') }))
    .filter(({ file }) => !existsSync(file));
}

function installDebianPackages() {
  const missing = missingDebianPackages();
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  const list = missing.map(({ name, file, use }) => `  ${name} (${file}): ${use}`).join('\n');
  const giveUp = (why) =>
    fail(
      `the tests need these Debian packages, and ${why}:\n${list}\n` +
        `Install them by hand, on Debian 12 or a system like it:\n  sudo apt-get install ${names.join(' ')}`,
    );
  if (!succeeds('apt-get', ['--version'])) giveUp('there is no apt-get here');
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && !succeeds('sudo', ['-n', 'true']))
    giveUp('installing them needs root, or sudo without a password');
  const asRoot = (command, ...args) => {
    const [first, ...rest] = isRoot ? [command, ...args] : ['sudo', '-n', command, ...args];
    run(first, rest);
  };
  const apt = (...args) => asRoot('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args);
  console.error(`astis: installing Debian packages: ${names.join(' ')}`);
  const hadCluster = existsSync('/etc/postgresql/15/main');
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...names);
  // The package makes and starts a database cluster. Nobody asked for that one: tests have data folders of their own.
  if (names.includes('postgresql-15') && !hadCluster && existsSync('/etc/postgresql/15/main')) {
    asRoot('pg_dropcluster', '--stop', '15', 'main');
  }
  const still = missingDebianPackages();
  if (still.length > 0)
    fail(`still missing after the installation: ${still.map(({ file }) => file).join(', ')}`);
}

if (Number(process.versions.node.split('.')[0]) < 20)
  fail(`Node 20 or later is needed; this is ${process.version}.`);
installPackages();
checkNode();
if (process.argv.includes('--test')) installDebianPackages();
