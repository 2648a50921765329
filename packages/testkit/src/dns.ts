/** A real DNS server (Debian's dnsmasq) for tests of domain control: it knows the records that it is given, and no others. */
import { spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { userInfo } from 'node:os';
import { freePort } from './free-port.ts';

/** TXT records by name, such as `_astis.example.org`; each value is one record. */
export type TxtRecords = Readonly<Record<string, readonly string[]>>;

export interface DnsServer extends AsyncDisposable {
  /** `127.0.0.1:port`, as `Resolver.setServers` takes it. */
  readonly address: string;
  /** Replaces all records; resolves when the new ones are answered. */
  setRecords(records: TxtRecords): Promise<void>;
  stop(): Promise<void>;
}

const DNSMASQ = '/usr/sbin/dnsmasq';
const START_MS = 20_000;

interface Running {
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

/** To dnsmasq a comma starts the record's next string, so no value has one. */
function txtFlag(name: string, value: string): string {
  if (!/^[\w.-]+$/.test(name) || !/^[\w=+/.:; -]{1,255}$/.test(value)) {
    throw new Error(`not a TXT record that this server can hold: ${name}`);
  }
  return `--txt-record=${name},${value}`;
}

function run(port: number, records: TxtRecords): Running {
  const child = spawn(
    DNSMASQ,
    [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--pid-file=',
      '--log-facility=-',
      '--no-resolv',
      '--no-hosts',
      '--local=/#/',
      '--local-ttl=0',
      '--listen-address=127.0.0.1',
      '--bind-interfaces',
      `--port=${port}`,
      `--user=${userInfo().username}`,
      ...Object.entries(records).flatMap(([name, values]) => values.map((value) => txtFlag(name, value))),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const abandon = () => child.kill('SIGKILL');
  process.once('exit', abandon);
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', () => resolve(said));
  }).finally(() => process.removeListener('exit', abandon));
  return {
    exited,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** Whether the server answers at all: that a name does not exist is an answer. */
async function answers(resolver: Resolver): Promise<boolean> {
  try {
    await resolver.resolveTxt('ready.astis.invalid');
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'ENOTFOUND' || code === 'ENODATA';
  }
}

async function start(port: number, records: TxtRecords): Promise<Running> {
  const running = run(port, records);
  let ended: string | undefined;
  void running.exited.then((said) => {
    ended = said;
  });
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  const deadline = Date.now() + START_MS;
  while (!(await answers(resolver))) {
    if (ended !== undefined) throw new Error(`dnsmasq ended: ${ended.trim()}`);
    if (Date.now() > deadline) {
      await running.stop();
      throw new Error('dnsmasq does not answer');
    }
    await new Promise((wake) => setTimeout(wake, 20));
  }
  return running;
}

export async function startDnsServer(records: TxtRecords = {}): Promise<DnsServer> {
  const port = await freePort();
  let running = await start(port, records);
  const stop = () => running.stop();
  return {
    address: `127.0.0.1:${port}`,
    async setRecords(next) {
      await running.stop();
      running = await start(port, next);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
