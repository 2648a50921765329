/** Starts the CVS from the environment; see docs/custody.md for the settings. */
import { readServicePeer } from '@astis/crypto/service-message';
import type { SigningPublicKey } from '@astis/protocol';
import { fromBase64Url } from '@astis/protocol';
import { openCustodyStore } from '@astis/store';
import { pino } from 'pino';
import { buildCustody } from './app.ts';
import { ConfigError, readConfig } from './config.ts';
import { loadServiceKey } from './service-key.ts';
import { RootKeyError } from './worker/root-key.ts';

const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const operatorKey = fromBase64Url(config.operatorKey);
  if (operatorKey.length !== 32)
    throw new ConfigError('ASTIS_OPERATOR_KEY must name a file with 32 bytes of base64url');
  const store = openCustodyStore({ connection: config.database, poolSize: config.poolSize });
  const custody = await buildCustody({
    ...config,
    store,
    self: await loadServiceKey(config.keysDir),
    gateway: await readServicePeer(config.gatewayKey),
    operatorKey: operatorKey as SigningPublicKey,
    logger,
  });

  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    custody.close().then(
      () => logger.info('stopped'),
      () => process.exit(1),
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  await custody.admin.listen({ host: config.adminHost, port: config.adminPort });
  await custody.app.listen({ host: config.host, port: config.port });
  logger.info({ address: custody.app.server.address(), admin: custody.admin.server.address() }, 'listening');
}

main().catch((error: unknown) => {
  // These are written for the operator and name no secret; others are told by their kind alone.
  const told = error instanceof ConfigError || error instanceof RootKeyError;
  logger.fatal(
    { error: error instanceof Error ? error.name : 'unknown' },
    told ? error.message : 'did not start',
  );
  process.exit(1);
});
