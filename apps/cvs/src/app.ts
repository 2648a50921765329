/** The CVS as a whole, from parts that main.ts (or a test) opened. */
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ServiceKey, ServicePeer } from '@astis/crypto/service-message';
import { MAX_MESSAGE_BYTES } from '@astis/crypto/service-message';
import type { SigningPublicKey } from '@astis/protocol';
import type { CustodyStore } from '@astis/store';
import type { FastifyBaseLogger } from 'fastify';
import Fastify, { LogController } from 'fastify';
import { buildAdmin } from './admin.ts';
import { Dispatcher } from './calls/dispatch.ts';
import type { Services } from './calls/handler.ts';
import { custodyRoute } from './calls/route.ts';
import { TenantLimits } from './limits/tenant-limits.ts';
import type { Metrics } from './metrics.ts';
import { newMetrics } from './metrics.ts';
import { checkRootKey } from './root-check.ts';
import { WorkerPool } from './worker/pool.ts';

export interface CustodyOptions {
  readonly tls: {
    /** PEM. */
    readonly cert: string;
    readonly key: string;
    /** Of the gateways' client certificates. */
    readonly clientCa: string;
    /** If given, only these client certificates are taken, whatever else the CA has signed. PEM. */
    readonly clientCerts?: readonly string[];
  };
  readonly store: CustodyStore;
  readonly self: ServiceKey;
  readonly gateway: ServicePeer;
  readonly operatorKey: SigningPublicKey;
  readonly logPrefix: string;
  readonly rootKeyFile: string;
  readonly workers: number;
  readonly holdingDays: number;
  readonly callsPerSecond: number;
  readonly capsulesPerSecond: number;
  readonly logger: FastifyBaseLogger;
}

const DAY_SECONDS = 86_400;
const MAX_CONCURRENT = 128;

const fingerprintOf = (pem: string): string => new X509Certificate(pem).fingerprint256;

/** A request must have arrived within this time. */
const REQUEST_MS = 60_000;

export interface Custody {
  readonly app: ReturnType<typeof buildListener>;
  readonly admin: ReturnType<typeof buildAdmin>;
  readonly workers: WorkerPool;
  /** Stops taking calls, finishes those under way, then ends workers and store. */
  close(): Promise<void>;
}

function buildListener({ tls, logger }: CustodyOptions) {
  const app = Fastify({
    // Our own lines name method, tenant and code; nothing of a request is logged as it came.
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_MESSAGE_BYTES,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: 'idle',
    https: {
      cert: tls.cert,
      key: tls.key,
      ca: tls.clientCa,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      handshakeTimeout: 10_000,
    },
  });
  const pins = tls.clientCerts?.map(fingerprintOf);
  app.server.on('secureConnection', (socket: TLSSocket) => {
    const { fingerprint256 } = socket.getPeerCertificate();
    if (!socket.authorized || (pins !== undefined && !pins.includes(fingerprint256))) {
      logger.warn({ certificate: fingerprint256 }, 'client certificate refused');
      socket.destroy();
    }
  });
  // A connection whose last answer is out would be kept alive for more that never come.
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close');
  });
  return app;
}

function servicesOf(options: CustodyOptions, workers: WorkerPool): Services {
  const { store, operatorKey, logPrefix, holdingDays } = options;
  return { store, workers, operatorKey, logPrefix, holdingSeconds: holdingDays * DAY_SECONDS };
}

/** The stack of an error of ours, without its message: that may be a library's, and quote what it was given. */
function faultLine(error: unknown): { readonly name: string; readonly stack: readonly string[] } {
  if (!(error instanceof Error)) return { name: typeof error, stack: [] };
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  return { name: error.name, stack: frames.map((frame) => frame.trim()).slice(0, 8) };
}

/** @throws RootKeyError when the root key can't be used, before anything listens */
export async function buildCustody(options: CustodyOptions): Promise<Custody> {
  const { store, logger, self, gateway, callsPerSecond, capsulesPerSecond } = options;
  let metrics: Metrics | undefined;
  const workers = new WorkerPool({
    rootKeyFile: options.rootKeyFile,
    size: options.workers,
    onEnd(reason) {
      metrics?.workersEnded.inc({ reason });
      if (reason === 'crash' || reason === 'timeout') logger.error({ reason }, 'a worker ended');
    },
  });
  metrics = newMetrics(() => workers.size);
  const services = servicesOf(options, workers);
  try {
    await checkRootKey(services);
  } catch (error) {
    await workers.close();
    throw error;
  }
  const dispatcher = new Dispatcher({
    services,
    limits: new TenantLimits({ callsPerSecond, capsulesPerSecond }),
    onFault: (error, method, call) => logger.error({ method, call, ...faultLine(error) }, 'fault'),
  });
  const app = buildListener(options);
  custodyRoute(app, { dispatcher, self, gateway, metrics, maxConcurrent: MAX_CONCURRENT });
  const admin = buildAdmin({ metrics, ready: () => store.ping() });
  return {
    app,
    admin,
    workers,
    async close() {
      await app.close();
      await admin.close();
      await workers.close();
      await store.close();
    },
  };
}
