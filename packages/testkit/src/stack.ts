/**
 * A whole ASTIS on this computer: PostgreSQL, CVS and gateway as real processes, with keys, certificates and databases
 * in one folder. The development stack, the end-to-end tests and the benchmark all start it here. Starting it again on
 * the same folder goes on with what is there.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signingPublicKey } from '@astis/crypto';
import type { SigningPrivateKey } from '@astis/protocol';
import { toBase64Url } from '@astis/protocol';
import type { PostgresServer } from '@astis/store';
import { migrate, provision, startEmbeddedPostgres } from '@astis/store';
import type { Credentials } from './authority.ts';
import type { TlsFiles } from './ca.ts';
import { developmentCa } from './ca.ts';
import type { CaptureProxy, Exchange } from './capture-proxy.ts';
import { startCaptureProxy } from './capture-proxy.ts';
import type { RunningProcess } from './process.ts';
import { startProcess } from './process.ts';

export interface StackOptions {
  /** Folder of all that the stack keeps. */
  readonly home: string;
  /** More settings for the gateway's environment. */
  readonly gatewayEnv?: Readonly<Record<string, string>>;
  readonly cvsEnv?: Readonly<Record<string, string>>;
  /** 8443 and 8444 where they are free, for people; tests take any, since many run at the same time. */
  readonly usualPorts?: boolean;
  /** A server other than the embedded one. */
  readonly startPostgres?: (dataDir: string) => Promise<PostgresServer>;
  /** Puts a recording proxy before the gateway and before the CVS: see `exchanges`. */
  readonly capture?: boolean;
  readonly onProgress?: (what: string) => void;
}

export interface Stack {
  readonly url: string;
  /** PEM of the CA that the gateway's certificate is by. */
  readonly ca: string;
  /** The operator's Ed25519 seed. */
  readonly operatorKey: Uint8Array;
  readonly logs: string;
  /** Every HTTP exchange with the gateway and with the CVS since the start, where `capture` was asked for. */
  exchanges(): readonly Exchange[];
  readonly postgres: PostgresServer;
  readonly gateway: RunningProcess;
  readonly cvs: RunningProcess;
  /** Starts what was killed again. */
  restartGateway(): Promise<void>;
  restartCvs(): Promise<void>;
  restartPostgres(): Promise<void>;
  stop(): Promise<void>;
}

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const GATEWAY = join(ROOT, 'apps/gateway/src/main.ts');
const CVS = join(ROOT, 'apps/cvs/src/main.ts');
const LOG_ORIGIN = 'localhost/astis';

/** A secret of the stack's folder, made once. */
function secret(path: string, make: () => string | Buffer): Buffer {
  if (!existsSync(path)) writeFileSync(path, make(), { mode: 0o600, flush: true });
  return readFileSync(path);
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** How long processes of an earlier run that was killed may take to let go of their ports. */
const PORT_WAIT_MS = 12_000;

async function becomesFree(port: number): Promise<boolean> {
  const deadline = Date.now() + PORT_WAIT_MS;
  while (!(await isFree(port))) {
    if (Date.now() > deadline) return false;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  return true;
}

interface Ports {
  readonly gateway: number;
  readonly cvs: number;
}

/** Below the range that systems take the ports of outgoing connections from, so that none of those is in the way. */
async function anyPort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_240, 32_768);
    if (await isFree(port)) return port;
  }
}

/** The ports of last time, else the usual ones if wanted, else any that are free; remembered for next time. */
async function choosePorts(path: string, wantsUsual: boolean): Promise<Ports> {
  const before: Ports | undefined = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  const pick = async (last: number | undefined, usual: number): Promise<number> => {
    if (last !== undefined && (await becomesFree(last))) return last;
    return wantsUsual && (await isFree(usual)) ? usual : anyPort();
  };
  const ports = { gateway: await pick(before?.gateway, 8443), cvs: await pick(before?.cvs, 8444) };
  writeFileSync(path, JSON.stringify(ports));
  return ports;
}

const credentials = (files: TlsFiles): Credentials => ({
  certificate: readFileSync(files.cert, 'utf8'),
  privateKey: readFileSync(files.key, 'utf8'),
});

/** Somebody took a port between our look and our use of it. */
class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
  readonly code = 'port_taken';
}

async function onPort<T>(port: number, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (await isFree(port)) throw error;
    throw new PortTakenError(`Port ${port} was taken by another program.`, { cause: error });
  }
}

const STARTS = 3;

export async function startStack(options: StackOptions): Promise<Stack> {
  for (let left = STARTS - 1; ; left--) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (left === 0 || !(error instanceof PortTakenError)) throw error;
    }
  }
}

async function startOnce(options: StackOptions): Promise<Stack> {
  const { home, onProgress = () => undefined } = options;
  const at = (...parts: string[]) => join(home, ...parts);
  // Others may pass through, not look in: as root, PostgreSQL runs as another user below.
  mkdirSync(home, { recursive: true, mode: 0o711 });
  for (const folder of ['keys', 'logs', 'gateway', 'cvs'])
    mkdirSync(at(folder), { recursive: true, mode: 0o700 });

  onProgress('starting PostgreSQL');
  const startServer = options.startPostgres ?? ((dataDir: string) => startEmbeddedPostgres({ dataDir }));
  let postgres = await startServer(at('pg'));
  const processes: { gateway?: RunningProcess; cvs?: RunningProcess } = {};
  const proxies: CaptureProxy[] = [];
  const stop = async (): Promise<void> => {
    await processes.gateway?.stop();
    await processes.cvs?.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await postgres.stop();
  };
  try {
    const password = (name: string) =>
      secret(at('keys', name), () => randomBytes(24).toString('base64url')).toString();
    for (const [kind, database, serviceRole] of [
      ['gateway', 'astis_gateway', 'astis_gateway'],
      ['custody', 'astis_custody', 'astis_custody'],
    ] as const) {
      const made = await provision(postgres.superuser, {
        database,
        serviceRole,
        ownerPassword: password(`${kind}-owner-password`),
        servicePassword: password(`${kind}-password`),
      });
      await migrate(made.owner, kind);
      writeFileSync(at('keys', `${kind}-database.json`), JSON.stringify(made.service), { mode: 0o600 });
    }

    const ports = await choosePorts(at('ports.json'), options.usualPorts === true);
    const ca = await developmentCa(at('ca'));
    const [gatewayTls, cvsTls, clientTls] = await Promise.all([
      ca.issue('gateway', 'server'),
      ca.issue('cvs', 'server'),
      ca.issue('gateway-client', 'client'),
    ]);
    const reachedAt = async (port: number, server: TlsFiles, client?: TlsFiles): Promise<string> => {
      const upstream = `https://localhost:${port}`;
      if (options.capture !== true) return upstream;
      const proxy = await startCaptureProxy({
        upstream,
        authority: readFileSync(ca.cert, 'utf8'),
        server: credentials(server),
        ...(client && { client: credentials(client) }),
      });
      proxies.push(proxy);
      return proxy.url;
    };
    const url = await reachedAt(ports.gateway, gatewayTls);
    const cvsUrl = await reachedAt(ports.cvs, cvsTls, clientTls);
    secret(at('keys', 'root-key'), () => randomBytes(32));
    const operator = secret(at('keys', 'operator-key'), () =>
      randomBytes(32).toString('base64url'),
    ).toString();
    const operatorKey = new Uint8Array(Buffer.from(operator, 'base64url'));
    const operatorPublic = signingPublicKey(operatorKey as SigningPrivateKey);
    writeFileSync(at('keys', 'operator-public'), toBase64Url(operatorPublic));

    const gatewayKeys = { ASTIS_GATEWAY_KEYS: at('gateway'), ASTIS_LOG_ORIGIN: LOG_ORIGIN };
    const made = spawnSync(process.execPath, [GATEWAY, '--make-keys'], {
      env: { PATH: process.env['PATH'] ?? '', ...gatewayKeys },
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(`The gateway's keys could not be made: ${made.stderr}`);
    const { servicePublicKey }: { servicePublicKey: string } = JSON.parse(made.stdout);
    writeFileSync(at('keys', 'gateway-service.asc'), servicePublicKey);

    const startCvs = () =>
      startProcess({
        name: 'CVS',
        script: CVS,
        logFile: at('logs', 'cvs.log'),
        readyText: '"msg":"listening"',
        env: {
          ASTIS_CVS_LISTEN: `127.0.0.1:${ports.cvs}`,
          ASTIS_CVS_TLS_CERT: cvsTls.cert,
          ASTIS_CVS_TLS_KEY: cvsTls.key,
          ASTIS_CVS_TLS_CLIENT_CA: ca.cert,
          ASTIS_CVS_TLS_CLIENT_CERTS: clientTls.cert,
          ASTIS_CVS_DATABASE: at('keys', 'custody-database.json'),
          ASTIS_CVS_ROOT_KEY: at('keys', 'root-key'),
          ASTIS_CVS_KEYS: at('cvs'),
          ASTIS_OPERATOR_KEY: at('keys', 'operator-public'),
          ASTIS_GATEWAY_SERVICE_KEY: at('keys', 'gateway-service.asc'),
          ASTIS_LOG_ORIGIN: LOG_ORIGIN,
          ...options.cvsEnv,
        },
      });
    const startGateway = () =>
      startProcess({
        name: 'gateway',
        script: GATEWAY,
        logFile: at('logs', 'gateway.log'),
        readyText: '"msg":"listening"',
        env: {
          ...gatewayKeys,
          ASTIS_GATEWAY_LISTEN: `127.0.0.1:${ports.gateway}`,
          ASTIS_GATEWAY_URL: url,
          ASTIS_GATEWAY_TLS_CERT: gatewayTls.cert,
          ASTIS_GATEWAY_TLS_KEY: gatewayTls.key,
          ASTIS_GATEWAY_DATABASE: at('keys', 'gateway-database.json'),
          ASTIS_OPERATOR_KEY: at('keys', 'operator-public'),
          ASTIS_CVS_URL: cvsUrl,
          ASTIS_CVS_CA: ca.cert,
          ASTIS_CVS_CLIENT_CERT: clientTls.cert,
          ASTIS_CVS_CLIENT_KEY: clientTls.key,
          ASTIS_CVS_SERVICE_KEY: at('cvs', 'service-public.asc'),
          ...options.gatewayEnv,
        },
      });
    onProgress('starting the key custody service');
    let cvs = await onPort(ports.cvs, startCvs);
    processes.cvs = cvs;
    onProgress('starting the gateway');
    let gateway = await onPort(ports.gateway, startGateway);
    processes.gateway = gateway;

    return {
      url,
      ca: readFileSync(ca.cert, 'utf8'),
      operatorKey,
      logs: at('logs'),
      exchanges: () => proxies.flatMap((proxy) => proxy.exchanges),
      get postgres() {
        return postgres;
      },
      get gateway() {
        return gateway;
      },
      get cvs() {
        return cvs;
      },
      async restartGateway() {
        gateway = await startGateway();
        processes.gateway = gateway;
      },
      async restartCvs() {
        cvs = await startCvs();
        processes.cvs = cvs;
      },
      async restartPostgres() {
        postgres = await startServer(at('pg'));
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
