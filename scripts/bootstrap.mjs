// Sets up a fresh checkout. Runs on the machine's own Node (20 or later) and before anything is installed, so it
// is plain JavaScript without dependencies. `--test` adds the Debian packages that tests and benchmarks use.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const NODE_MAJOR = 24;

function fail(message) {
  console.error(`astis: ${message}`);
  process.exit(1);
}

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error !== undefined || status !== 0)
    fail(`\`${command} ${args.join(' ')}\` failed; its output is above.`);
}

/** `npm ci`, where the lockfile is another than that of the last install. */
function installPackages() {
  const stamp = join(root, 'node_modules', '.astis-lockfile');
  const lockfile = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockfile) return;
  console.error('astis: installing packages (npm ci)');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { stdio: ['ignore', 2, 2] });
  writeFileSync(stamp, lockfile);
}

function checkNode() {
  const node = join(root, 'node_modules', '.bin', 'node');
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (!stdout?.startsWith(`v${NODE_MAJOR}.`)) {
    fail(`node_modules/.bin/node is not Node ${NODE_MAJOR}; remove node_modules and try again.`);
  }
}

function installDebianPackages() {
  const missing = readFileSync(join(root, 'scripts', 'debian-packages.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' '))
    .filter(([, file]) => !existsSync(file))
    .map(([name]) => name);
  if (missing.length === 0) return;
  const byHand = `Install them by hand: sudo apt-get install ${missing.join(' ')}`;
  const can = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
  if (!can('apt-get', ['--version'])) {
    fail(
      `the tests need these Debian packages, and there is no apt-get here: ${missing.join(', ')}. ${byHand}`,
    );
  }
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  if (sudo.length > 0 && !can('sudo', ['-n', 'true'])) {
    fail(
      `the tests need these Debian packages, and installing them needs root: ${missing.join(', ')}. ${byHand}`,
    );
  }
  console.error(`astis: installing Debian packages: ${missing.join(' ')}`);
  const apt = (...args) => {
    const [command, ...rest] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args];
    run(command, rest, { stdio: ['ignore', 2, 2] });
  };
  // The distribution's own cluster is neither wanted nor used: tests start servers on data folders of their own.
  if (missing.includes('postgresql-15')) {
    run(sudo[0] ?? 'sh', [
      ...(sudo.length > 0 ? ['-n', 'sh'] : []),
      '-c',
      'mkdir -p /etc/postgresql-common && [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf',
    ]);
  }
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...missing);
}

installPackages();
checkNode();
if (process.argv.includes('--test')) installDebianPackages();
