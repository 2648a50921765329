/** Rate limits: a token bucket for each tenant, and one for each network address that is not authenticated. */
import { ProblemError } from '@astis/protocol';
import type { FastifyInstance } from 'fastify';

/** Bounded buckets: when there are too many, all start anew, which lets more through and never less. */
export class Buckets {
  readonly #ratePerSecond: number;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(ratePerSecond: number) {
    this.#ratePerSecond = ratePerSecond;
  }

  /** @throws {ProblemError} `rate_limited` */
  take(key: string, now: number): void {
    if (this.#buckets.size > 100_000) this.#buckets.clear();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#ratePerSecond, at: now };
    const refilled = bucket.tokens + (Math.max(0, now - bucket.at) / 1000) * this.#ratePerSecond;
    bucket.tokens = Math.min(this.#ratePerSecond, refilled);
    bucket.at = now;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) throw new ProblemError('rate_limited', 'Wait a second, then go on more slowly.');
    bucket.tokens -= 1;
  }
}

const STRANGERS_PER_SECOND = 50;

export function installLimits(app: FastifyInstance, tenantRate: number): void {
  const tenants = new Buckets(tenantRate);
  const strangers = new Buckets(STRANGERS_PER_SECOND);
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.config.authentication === 'none') strangers.take(request.ip, Date.now());
  });
  app.addHook('preHandler', async (request) => {
    if (request.authenticated !== undefined) tenants.take(request.authenticated.tenantId, Date.now());
  });
}
