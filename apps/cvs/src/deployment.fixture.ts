/** A whole CVS for tests: real PostgreSQL, real workers, real mTLS over loopback, and a gateway's side to call it. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Signer } from '@astis/crypto';
import { localSigner, newSigningKey } from '@astis/crypto';
import type { ServiceKey, ServiceOutcome } from '@astis/crypto/service-message';
import { generateServiceKey, openResponse, readServiceKey, sealRequest } from '@astis/crypto/service-message';
import type { CustodyMethod, CustodyParams, CustodyResult, ProblemCode, TenantId } from '@astis/protocol';
import { isProblemCode, ProblemError, toBase64Url } from '@astis/protocol';
import type { CustodyStore, PostgresServer, ProvisionedDatabase } from '@astis/store';
import { migrate, openCustodyStore, provision, startEmbeddedPostgres } from '@astis/store';
import { pino } from 'pino';
import type { Custody, CustodyOptions } from './app.ts';
import { buildCustody } from './app.ts';
import type { TestCa, TlsPair } from './tls.fixture.ts';
import { newCa } from './tls.fixture.ts';
import { createRootKey } from './worker/root-key.ts';

export const LOG_PREFIX = 'astis.test/log';

export interface HttpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** The TLS side of a caller; all of it may be missing or wrong. */
export interface Caller extends Partial<TlsPair> {
  readonly ca: string;
}

const newService = async (name: string): Promise<ServiceKey> =>
  readServiceKey((await generateServiceKey(name)).privateKey);

export class Deployment {
  readonly postgres: PostgresServer;
  readonly database: ProvisionedDatabase;
  readonly folder: string;
  readonly rootKeyFile: string;
  readonly operator: Signer;
  readonly gateway: ServiceKey;
  readonly cvs: ServiceKey;
  readonly clientCa: TestCa;
  readonly client: TlsPair;
  readonly serverCa: TestCa;
  readonly #options: Omit<CustodyOptions, 'store' | 'logger'>;
  /** Everything that the process logged. */
  readonly logged: string[] = [];
  /** Every body that went over the wire, both ways, and every opened outcome. */
  readonly captured: Uint8Array[] = [];
  #custody: Custody | undefined;
  #store: CustodyStore | undefined;
  #agent: Agent | undefined;
  #attached: number | undefined;

  constructor(parts: {
    postgres: PostgresServer;
    database: ProvisionedDatabase;
    folder: string;
    rootKeyFile: string;
    operator: Signer;
    gateway: ServiceKey;
    cvs: ServiceKey;
    clientCa: TestCa;
    serverCa: TestCa;
    client: TlsPair;
    server: TlsPair;
  }) {
    this.postgres = parts.postgres;
    this.database = parts.database;
    this.folder = parts.folder;
    this.rootKeyFile = parts.rootKeyFile;
    this.operator = parts.operator;
    this.gateway = parts.gateway;
    this.cvs = parts.cvs;
    this.clientCa = parts.clientCa;
    this.serverCa = parts.serverCa;
    this.client = parts.client;
    this.#options = {
      tls: { ...parts.server, clientCa: parts.clientCa.cert, clientCerts: [parts.client.cert] },
      self: parts.cvs,
      gateway: parts.gateway,
      operatorKey: parts.operator.publicKey,
      logPrefix: LOG_PREFIX,
      rootKeyFile: parts.rootKeyFile,
      workers: 2,
      holdingDays: 365,
      callsPerSecond: 10_000,
      capsulesPerSecond: 100_000,
    };
  }

  get custody(): Custody {
    if (this.#custody === undefined) throw new Error('the CVS is not running');
    return this.#custody;
  }

  get store(): CustodyStore {
    if (this.#store === undefined) throw new Error('the CVS is not running');
    return this.#store;
  }

  /** Calls go to a CVS that runs as a process of its own. */
  attach(port: number): void {
    this.#attached = port;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 16 });
  }

  get port(): number {
    if (this.#attached !== undefined) return this.#attached;
    const address = this.custody.app.server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return address.port;
  }

  async start(changes: Partial<CustodyOptions> = {}): Promise<void> {
    const store = openCustodyStore({ connection: this.database.service, poolSize: 8 });
    const sink = new Writable({
      write: (chunk, _encoding, done) => {
        this.logged.push(String(chunk));
        done();
      },
    });
    try {
      this.#custody = await buildCustody({ ...this.#options, store, logger: pino(sink), ...changes });
    } catch (error) {
      await store.close();
      throw error;
    }
    this.#store = store;
    await this.#custody.app.listen({ host: '127.0.0.1', port: 0 });
    this.#agent = new Agent({ keepAlive: true, maxSockets: 16 });
  }

  /** The settings of main.ts, for the same database and keys. */
  environment(): Record<string, string> {
    const file = (name: string, content: string): string => {
      const path = join(this.folder, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    const { tls, operatorKey, logPrefix } = this.#options;
    const keys = join(this.folder, 'keys');
    mkdirSync(keys, { recursive: true });
    file('keys/service-key.asc', this.cvs.privateKey.armor());
    return {
      ASTIS_CVS_LISTEN: '127.0.0.1:0',
      ASTIS_CVS_ADMIN_LISTEN: '127.0.0.1:0',
      ASTIS_CVS_TLS_CERT: file('tls.pem', tls.cert),
      ASTIS_CVS_TLS_KEY: file('tls.key', tls.key),
      ASTIS_CVS_TLS_CLIENT_CA: file('clients.pem', tls.clientCa),
      ASTIS_CVS_TLS_CLIENT_CERTS: file('gateway.pem', this.client.cert),
      ASTIS_CVS_DATABASE: file('database.json', JSON.stringify(this.database.service)),
      ASTIS_CVS_ROOT_KEY: this.rootKeyFile,
      ASTIS_CVS_KEYS: keys,
      ASTIS_CVS_WORKERS: '1',
      ASTIS_OPERATOR_KEY: file('operator.pub', toBase64Url(operatorKey)),
      ASTIS_GATEWAY_SERVICE_KEY: file('gateway.asc', this.gateway.publicKey.armor()),
      ASTIS_LOG_ORIGIN: logPrefix,
    };
  }

  async stop(): Promise<void> {
    this.#agent?.destroy();
    await this.#custody?.close();
    this.#custody = undefined;
    this.#store = undefined;
  }

  async end(): Promise<void> {
    await this.stop();
    await this.postgres.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get caller(): Caller {
    return { ...this.client, ca: this.serverCa.cert };
  }

  /** One POST, whatever the body is. */
  post(
    body: Uint8Array,
    caller: Caller = this.caller,
    contentType = 'application/octet-stream',
  ): Promise<HttpAnswer> {
    const agent = caller.cert === this.client.cert ? this.#agent : new Agent({ keepAlive: false });
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          ...caller,
          ...(agent === undefined ? {} : { agent }),
          host: '127.0.0.1',
          port: this.port,
          method: 'POST',
          path: '/custody',
          headers: { 'content-type': contentType, 'content-length': body.length },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const received = new Uint8Array(Buffer.concat(chunks));
            this.captured.push(body, received);
            resolve({ status: answer.statusCode ?? 0, body: received });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** A call as the gateway makes it, the outcome as it came. */
  async outcome(method: string, params: object): Promise<ServiceOutcome> {
    const between = { self: this.gateway, peer: this.cvs };
    const sealed = await sealRequest({ method, params }, between);
    const { status, body } = await this.post(sealed.message);
    if (status !== 200) throw new Error(`HTTP ${status}`);
    const outcome = await openResponse(body, sealed, between);
    this.captured.push(new TextEncoder().encode(JSON.stringify(outcome)));
    return outcome;
  }

  /** @throws ProblemError */
  async call<M extends CustodyMethod>(method: M, params: CustodyParams<M>): Promise<CustodyResult<M>> {
    const outcome = await this.outcome(method, params);
    if ('result' in outcome) return outcome.result as CustodyResult<M>;
    const { code, detail } = outcome.problem;
    if (!isProblemCode(code)) throw new Error(`an unknown code: ${code}`);
    throw new ProblemError(code, detail);
  }

  /** The code that a call is refused with; fails when it is granted. */
  async refusal<M extends CustodyMethod>(method: M, params: CustodyParams<M>): Promise<ProblemCode> {
    try {
      await this.call(method, params);
    } catch (error) {
      if (error instanceof ProblemError) return error.code;
      throw error;
    }
    throw new Error(`${method} was granted`);
  }

  /** The events of a tenant's custody log. */
  async log(tenantId: TenantId): Promise<readonly Record<string, unknown>[]> {
    const events: Record<string, unknown>[] = [];
    for await (const entry of this.store.entries(tenantId))
      if ('disclosed' in entry && entry.disclosed !== undefined)
        events.push(JSON.parse(entry.disclosed.event));
    return events;
  }
}

/** Makes database, keys and certificates. Nothing listens before `start`. */
export async function newDeployment(): Promise<Deployment> {
  const folder = mkdtempSync(join(tmpdir(), 'astis-cvs-'));
  // The database's own account must get through to its folder.
  chmodSync(folder, 0o711);
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'pg') });
  const database = await provision(postgres.superuser, {
    database: 'custody',
    serviceRole: 'astis_custody',
    ownerPassword: randomBytes(16).toString('hex'),
    servicePassword: randomBytes(16).toString('hex'),
  });
  await migrate(database.owner, 'custody');
  const rootKeyFile = join(folder, 'root.key');
  createRootKey(rootKeyFile);
  const [clientCa, serverCa] = await Promise.all([newCa(), newCa()]);
  return new Deployment({
    postgres,
    database,
    folder,
    rootKeyFile,
    operator: localSigner(newSigningKey()),
    gateway: await newService('gateway'),
    cvs: await newService('cvs'),
    clientCa,
    serverCa,
    client: await clientCa.issue('gateway', 'client'),
    server: await serverCa.issue('cvs', 'server'),
  });
}
