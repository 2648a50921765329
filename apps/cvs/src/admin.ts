/** The operator's listener: health and metrics, on an address of its own without TLS. Nothing secret is there. */
import Fastify from 'fastify';
import type { Metrics } from './metrics.ts';

export interface AdminOptions {
  readonly metrics: Metrics;
  /** Rejects while the service can't answer calls. */
  readonly ready: () => Promise<void>;
}

export function buildAdmin({ metrics, ready }: AdminOptions) {
  const app = Fastify({ logger: false });
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    try {
      await ready();
      return { status: 'ready' };
    } catch {
      return reply.code(503).send({ status: 'not ready' });
    }
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  return app;
}
