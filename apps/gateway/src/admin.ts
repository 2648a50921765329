/** The admin listener: health, readiness and metrics. Plain HTTP, for loopback or the cluster's own network. */
import { policyEngineHealthy } from '@astis/policy';
import type { FastifyInstance } from 'fastify';
import fastify from 'fastify';
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { App } from './app.ts';
import type { Gateway } from './gateway.ts';

/** Times every request of `app` by route and status; no ids and no tenants, so nothing about people is in it. */
export function buildAdmin(app: App, { store }: Pick<Gateway, 'store'>): FastifyInstance {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const seconds = new Histogram({
    name: 'astis_gateway_request_seconds',
    help: 'Time from the request to the end of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    seconds.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
  });

  const admin = fastify();
  admin.get('/healthz', async () => ({ status: 'ok' }));
  admin.get('/readyz', async (_request, reply) => {
    const isStoreUp = await store.database.query('select 1').then(
      () => true,
      () => false,
    );
    const isReady = isStoreUp && policyEngineHealthy();
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ready' : 'not ready' });
  });
  admin.get('/metrics', async (_request, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
  return admin;
}
