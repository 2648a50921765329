/** Starts the gateway from its environment. Prints one JSON line when it listens; stops in order on SIGTERM. */
import { parseArgs } from 'node:util';
import type { SigningPublicKey } from '@astis/protocol';
import { fromBase64Url } from '@astis/protocol';
import { openGatewayStore } from '@astis/store';
import { pino } from 'pino';
import { buildAdmin } from './admin.ts';
import { buildApp } from './app.ts';
import { ConfigError, readConfig } from './config.ts';
import { connectCustody } from './custody/client.ts';
import type { Gateway } from './gateway.ts';
import { startAttending } from './jobs/attend.ts';
import { loadKeys } from './keys.ts';

// What a log line may have is listed; whatever else a library hands over is left out.
const logger = pino({
  base: { app: 'gateway' },
  redact: { paths: ['req', 'res', 'err.message', 'err.detail', 'err.where', 'err.query'], remove: true },
  serializers: {
    err: (error: Error) => ({ type: error.name, stack: error.stack?.split('\n').slice(1, 6).join(' ') }),
  },
});

const ATTEND_EVERY_MS = 5000;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { 'make-keys': { type: 'boolean' } } });
  const keysOnly = values['make-keys'] === true;
  if (keysOnly) {
    // Lets the CVS be configured with our public key before we need its own.
    const keys = await loadKeys(
      process.env['ASTIS_GATEWAY_KEYS'] ?? '',
      process.env['ASTIS_LOG_ORIGIN'] ?? '',
    );
    process.stdout.write(`${JSON.stringify({ servicePublicKey: keys.servicePublicKey })}\n`);
    return;
  }
  const config = readConfig(process.env);
  const keys = await loadKeys(config.keysDir, config.logOrigin);
  const store = openGatewayStore({
    connection: config.database,
    poolSize: config.poolSize,
    receiptKey: keys.receiptKey,
  });
  const custody = await connectCustody(config.custody, keys.service);
  const gateway: Gateway = {
    store,
    custody,
    keys,
    url: config.url,
    logOrigin: config.logOrigin,
    operatorKey: fromBase64Url(config.operatorKey) as SigningPublicKey,
    tenantRate: config.tenantRate,
    dnsServer: config.dnsServer,
  };
  const app = await buildApp(gateway, { tls: config.tls, logger });
  const admin = buildAdmin(app, gateway);
  await app.listen({ host: config.host, port: config.port });
  const adminUrl = await admin.listen({ host: config.adminHost, port: config.adminPort });
  const stopAttending = startAttending(gateway, ATTEND_EVERY_MS, logger);
  logger.info({ url: config.url, adminUrl }, 'listening');

  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    logger.info('stopping');
    // Requests under way end first; then what they left in the log's queue; then the connections.
    await app.close();
    await admin.close();
    await stopAttending();
    await store.close();
    await custody.close();
  };
  process.on('SIGTERM', () => void stop());
  process.on('SIGINT', () => void stop());
}

main().catch((error: unknown) => {
  const message = error instanceof ConfigError ? error.message : 'could not start';
  logger.fatal({ ...(error instanceof ConfigError ? {} : { err: error }) }, message);
  process.exitCode = 1;
});
