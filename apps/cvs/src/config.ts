/** Configuration from the environment. Secrets come as paths of files, never as values. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Connection } from '@astis/store';

export interface CustodyConfig {
  readonly host: string;
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly tls: {
    readonly cert: string;
    readonly key: string;
    readonly clientCa: string;
    readonly clientCerts?: readonly string[];
  };
  readonly database: Connection;
  readonly poolSize: number;
  /** The path only: the workers read it. */
  readonly rootKeyFile: string;
  /** Folder of the service's own OpenPGP key, made on the first start. */
  readonly keysDir: string;
  /** Ed25519 public key, base64url. */
  readonly operatorKey: string;
  /** Armored OpenPGP public key of the gateway. */
  readonly gatewayKey: string;
  readonly logPrefix: string;
  readonly workers: number;
  readonly holdingDays: number;
  readonly callsPerSecond: number;
  readonly capsulesPerSecond: number;
}

/** A setting that is missing or makes no sense. The message names it and says what it must be. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Environment = Readonly<Record<string, string | undefined>>;

function required(env: Environment, name: string, what: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw new ConfigError(`${name} is not set: ${what}`);
  return value;
}

function file(env: Environment, name: string, what: string): string {
  const path = required(env, name, `the path of ${what}`);
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new ConfigError(`${name}: ${path} can not be read; it must be ${what}`);
  }
}

function listen(env: Environment, name: string, otherwise?: string): { host: string; port: number } {
  const text = env[name] ?? otherwise ?? required(env, name, 'host:port to listen on');
  const [, host, digits] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (host === undefined || !(port <= 65_535))
    throw new ConfigError(`${name} must be host:port, such as 127.0.0.1:8444`);
  return { host, port };
}

function whole(env: Environment, name: string, otherwise: number): number {
  const value = Number(env[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new ConfigError(`${name} must be a whole number above 0`);
  return value;
}

const CONNECTION = 'a JSON file with host, port, user, password and database';

function connection(env: Environment, name: string): Connection {
  const text = file(env, name, CONNECTION);
  try {
    const { host, port, user, password, database }: Record<string, unknown> = JSON.parse(text);
    if (
      typeof host === 'string' &&
      typeof port === 'number' &&
      typeof user === 'string' &&
      typeof password === 'string' &&
      typeof database === 'string'
    ) {
      return { host, port, user, password, database };
    }
  } catch {
    // Said below, without the content.
  }
  throw new ConfigError(`${name} must name ${CONNECTION}`);
}

const BEGIN = '-----BEGIN CERTIFICATE-----';

/** @throws {ConfigError} */
export function readConfig(env: Environment): CustodyConfig {
  const { host, port } = listen(env, 'ASTIS_CVS_LISTEN');
  const admin = listen(env, 'ASTIS_CVS_ADMIN_LISTEN', '127.0.0.1:0');
  const pins =
    env['ASTIS_CVS_TLS_CLIENT_CERTS'] === undefined
      ? undefined
      : file(env, 'ASTIS_CVS_TLS_CLIENT_CERTS', 'the client certificates that are taken, PEM')
          .split(BEGIN)
          .slice(1)
          .map((certificate) => BEGIN + certificate);
  if (pins?.length === 0) throw new ConfigError('ASTIS_CVS_TLS_CLIENT_CERTS has no certificate in it');
  return {
    host,
    port,
    adminHost: admin.host,
    adminPort: admin.port,
    tls: {
      cert: file(env, 'ASTIS_CVS_TLS_CERT', 'the TLS certificate, PEM'),
      key: file(env, 'ASTIS_CVS_TLS_KEY', 'the TLS private key, PEM'),
      clientCa: file(env, 'ASTIS_CVS_TLS_CLIENT_CA', "the CA of the gateways' client certificates, PEM"),
      ...(pins === undefined ? {} : { clientCerts: pins }),
    },
    database: connection(env, 'ASTIS_CVS_DATABASE'),
    poolSize: whole(env, 'ASTIS_CVS_POOL', 10),
    rootKeyFile: required(env, 'ASTIS_CVS_ROOT_KEY', 'the path of the root key: 32 bytes, mode 0600'),
    keysDir: required(env, 'ASTIS_CVS_KEYS', "the folder of the service's own key"),
    operatorKey: file(env, 'ASTIS_OPERATOR_KEY', "the operator's public key, base64url").trim(),
    gatewayKey: file(env, 'ASTIS_GATEWAY_SERVICE_KEY', 'the OpenPGP public key of the gateway'),
    logPrefix: required(
      env,
      'ASTIS_LOG_ORIGIN',
      "the prefix of the logs' origins, such as astis.example/log",
    ),
    workers: whole(env, 'ASTIS_CVS_WORKERS', Math.min(4, availableParallelism())),
    holdingDays: whole(env, 'ASTIS_CVS_HOLDING_DAYS', 365),
    callsPerSecond: whole(env, 'ASTIS_CVS_TENANT_CALLS', 100),
    capsulesPerSecond: whole(env, 'ASTIS_CVS_TENANT_CAPSULES', 5000),
  };
}
