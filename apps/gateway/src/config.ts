/** Configuration from the environment. Secrets come as paths of files, never as values. */
import { readFileSync } from 'node:fs';
import type { Connection } from '@astis/store';

export interface GatewayConfig {
  readonly host: string;
  readonly port: number;
  /** Public base URL without a trailing slash: what proofs name. */
  readonly url: string;
  readonly tls: { readonly cert: string; readonly key: string };
  readonly adminHost: string;
  readonly adminPort: number;
  readonly database: Connection;
  readonly poolSize: number;
  /** Folder of the gateway's own keys, made on the first start. */
  readonly keysDir: string;
  /** The operator's Ed25519 public key, base64url. */
  readonly operatorKey: string;
  /** Prefix of every tenant's log origin. */
  readonly logOrigin: string;
  /** Requests a second that one tenant may make, and how many at once after a pause. */
  readonly tenantRate: number;
  readonly dnsServer: string | undefined;
  readonly custody: {
    readonly url: string;
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    /** Armored OpenPGP public key of the CVS. */
    readonly serviceKey: string;
  };
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
  const match = /^(.+):(\d+)$/.exec(text);
  const port = Number(match?.[2]);
  const host = match?.[1];
  if (host === undefined || port > 65_535)
    throw new ConfigError(`${name} must be host:port, such as 127.0.0.1:8443`);
  return { host, port };
}

function whole(env: Environment, name: string, otherwise: number): number {
  const value = Number(env[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new ConfigError(`${name} must be a whole number above 0`);
  return value;
}

/** Reads a connection: JSON of host, port, user, password and database, as `astis` and operators write it. */
function connection(env: Environment, name: string): Connection {
  const text = file(env, name, 'a JSON file with host, port, user, password and database');
  try {
    const { host, port, user, password, database }: Record<string, unknown> = JSON.parse(text);
    if (
      [host, user, password, database].every((value) => typeof value === 'string') &&
      typeof port === 'number'
    ) {
      return {
        host: String(host),
        port,
        user: String(user),
        password: String(password),
        database: String(database),
      };
    }
  } catch {
    // Said below, without the content.
  }
  throw new ConfigError(`${name} must name a JSON file with host, port, user, password and database`);
}

/** @throws {ConfigError} */
export function readConfig(env: Environment): GatewayConfig {
  const { host, port } = listen(env, 'ASTIS_GATEWAY_LISTEN');
  const admin = listen(env, 'ASTIS_GATEWAY_ADMIN_LISTEN', '127.0.0.1:0');
  return {
    host,
    port,
    url: required(env, 'ASTIS_GATEWAY_URL', 'the public https URL').replace(/\/$/, ''),
    tls: {
      cert: file(env, 'ASTIS_GATEWAY_TLS_CERT', 'the TLS certificate, PEM'),
      key: file(env, 'ASTIS_GATEWAY_TLS_KEY', 'the TLS private key, PEM'),
    },
    adminHost: admin.host,
    adminPort: admin.port,
    database: connection(env, 'ASTIS_GATEWAY_DATABASE'),
    poolSize: whole(env, 'ASTIS_GATEWAY_POOL', 20),
    keysDir: required(env, 'ASTIS_GATEWAY_KEYS', "the folder of the gateway's keys"),
    operatorKey: file(env, 'ASTIS_OPERATOR_KEY', "the operator's public key, base64url").trim(),
    logOrigin: required(
      env,
      'ASTIS_LOG_ORIGIN',
      "the prefix of the logs' origins, such as astis.example/log",
    ),
    tenantRate: whole(env, 'ASTIS_GATEWAY_TENANT_RATE', 2000),
    dnsServer: env['ASTIS_DNS_SERVER'],
    custody: {
      url: required(env, 'ASTIS_CVS_URL', 'the https URL of the CVS').replace(/\/$/, ''),
      ca: file(env, 'ASTIS_CVS_CA', 'the CA of the CVS, PEM'),
      cert: file(env, 'ASTIS_CVS_CLIENT_CERT', "the gateway's client certificate, PEM"),
      key: file(env, 'ASTIS_CVS_CLIENT_KEY', "the gateway's client key, PEM"),
      serviceKey: file(env, 'ASTIS_CVS_SERVICE_KEY', 'the OpenPGP public key of the CVS'),
    },
  };
}
