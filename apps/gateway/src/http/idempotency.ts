/**
 * `Idempotency-Key`: a write that is repeated with the same key and content gets the first answer again. Not for
 * releases: each of those is decided anew.
 */
import { createHash } from 'node:crypto';
import { ProblemError } from '@astis/protocol';
import { requests } from '@astis/store';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Gateway } from '../gateway.ts';

declare module 'fastify' {
  interface FastifyRequest {
    idempotencyKey: string | undefined;
  }
}

function keyOf(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined || request.method === 'GET' || request.method === 'HEAD') return undefined;
  if (request.authenticated === undefined || request.routeOptions.config.authentication !== undefined)
    return undefined;
  if (typeof key !== 'string' || !/^[\x21-\x7e]{8,128}$/.test(key)) {
    throw new ProblemError('invalid_request', 'An Idempotency-Key has 8 to 128 visible ASCII characters.');
  }
  return key;
}

export function installIdempotency(app: FastifyInstance, { store }: Gateway): void {
  app.decorateRequest('idempotencyKey', undefined);
  app.addHook('preHandler', async (request, reply) => {
    const key = keyOf(request);
    const caller = request.authenticated;
    if (key === undefined || caller === undefined) return;
    const fingerprint = createHash('sha256')
      .update(`${request.method} ${request.url} ${request.bodyDigest}`)
      .digest();
    const stored = await store.transaction(caller.tenantId, (tx) =>
      requests.beginIdempotent(tx, caller.tenantId, caller.personId, key, new Uint8Array(fingerprint)),
    );
    if (stored === undefined) {
      request.idempotencyKey = key;
      return;
    }
    const type = stored.status < 400 ? 'application/json' : 'application/problem+json';
    // Already serialised: a parsed answer would go through the schema again.
    return reply.code(stored.status).type(type).serializer(String).send(stored.body);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const { idempotencyKey: key, authenticated: caller } = request;
    if (key === undefined || caller === undefined) return;
    const isFinal = reply.statusCode < 500 && typeof payload === 'string';
    await store.transaction(caller.tenantId, (tx) =>
      requests.endIdempotent(
        tx,
        caller.tenantId,
        caller.personId,
        key,
        isFinal ? { status: reply.statusCode, body: payload } : undefined,
      ),
    );
  });
}
