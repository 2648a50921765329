/** POST /custody: one OpenPGP message in, one out. */
import type { ServiceKey, ServicePeer } from '@astis/crypto/service-message';
import {
  MAX_MESSAGE_BYTES,
  openRequest,
  ServiceMessageError,
  sealResponse,
} from '@astis/crypto/service-message';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Metrics } from '../metrics.ts';
import type { Dispatcher } from './dispatch.ts';

export interface CustodyRouteOptions {
  readonly dispatcher: Dispatcher;
  readonly self: ServiceKey;
  readonly gateway: ServicePeer;
  readonly metrics: Metrics;
  /** Calls under way at a time; more are turned away before their message is opened. */
  readonly maxConcurrent: number;
}

const MEDIA_TYPE = 'application/octet-stream';

/** Unsigned, so it says no more than a code: who can read it has passed mTLS, and acts on signed answers only. */
const unsigned = (reply: FastifyReply, status: number, code: string): FastifyReply =>
  reply.code(status).type('application/problem+json').send({ status, code });

export function custodyRoute(app: FastifyInstance, options: CustodyRouteOptions): void {
  const { dispatcher, self, gateway, metrics, maxConcurrent } = options;
  const between = { self, peer: gateway };
  let underWay = 0;

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    MEDIA_TYPE,
    { parseAs: 'buffer', bodyLimit: MAX_MESSAGE_BYTES },
    (_request, body, done) => done(null, body),
  );
  app.setNotFoundHandler((_request, reply) => unsigned(reply, 404, 'not_found'));
  app.setErrorHandler((error: { readonly statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500;
    const codes: Readonly<Record<number, string>> = { 413: 'too_large', 415: 'unsupported_media_type' };
    if (status >= 500) request.log.error({ name: errorName(error) }, 'request failed');
    return unsigned(reply, status, codes[status] ?? (status < 500 ? 'invalid_request' : 'internal'));
  });

  async function refuseUnopened(reply: FastifyReply, code: string): Promise<FastifyReply> {
    metrics.calls.inc({ method: 'unknown', code });
    try {
      return (await dispatcher.logUnopened(code))
        ? unsigned(reply, 400, code)
        : unsigned(reply, 429, 'rate_limited');
    } catch {
      return unsigned(reply, 503, 'audit_unavailable');
    }
  }

  app.post('/custody', async (request, reply) => {
    if (underWay >= maxConcurrent) return unsigned(reply, 503, 'custody_unavailable');
    underWay++;
    const stop = metrics.duration.startTimer();
    try {
      const { body } = request;
      const message = body instanceof Uint8Array ? body : new Uint8Array(0);
      const opened = await openRequest(new Uint8Array(message), between);
      const { outcome, method, tenantId, code } = await dispatcher.call(opened);
      metrics.calls.inc({ method, code });
      stop({ method });
      request.log.info({ method, tenant: tenantId, code, call: opened.id }, 'call');
      const answer = await sealResponse(outcome, opened, between);
      return reply.type(MEDIA_TYPE).send(Buffer.from(answer));
    } catch (error) {
      if (!(error instanceof ServiceMessageError)) throw error;
      request.log.warn({ code: error.code }, 'message refused');
      return refuseUnopened(reply, error.code);
    } finally {
      underWay--;
    }
  });
}

const errorName = (error: unknown): string => (error instanceof Error ? error.name : typeof error);
