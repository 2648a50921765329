/**
 * Who calls. Every request but the few that say otherwise carries an access token bound to the caller's registered
 * key, and a proof by that key. `request.caller` is there after it; that the person and the key are still current is
 * read in the same transaction that uses the proof up: here, or for releases in the release's own.
 */
import { createHash } from 'node:crypto';
import type { Address, PersonId, Role, TenantId } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';
import { people, requests } from '@astis/store';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Gateway } from '../gateway.ts';
import type { TokenClaims } from '../tokens/access-token.ts';
import { verifyToken } from '../tokens/access-token.ts';
import { Nonces } from './nonce.ts';
import type { ProofKey } from './proof.ts';
import { checkProof, proofKey } from './proof.ts';

export interface Caller {
  readonly tenantId: TenantId;
  readonly personId: PersonId;
  readonly address: Address;
  readonly role: Role;
  readonly serial: number;
  readonly proof: { readonly id: string; readonly expiresAt: Date };
}

/** How a route authenticates. Absent: fully, before the handler. */
export type Authentication = 'none' | 'in-release';

declare module 'fastify' {
  interface FastifyContextConfig {
    authentication?: Authentication;
  }
  interface FastifyRequest {
    /** base64url SHA-256 of the body's bytes, of none if there is none. */
    bodyDigest: string;
    authenticated: Caller | undefined;
  }
}

export const EMPTY_DIGEST: string = createHash('sha256').digest('base64url');

/** The caller of an authenticated route. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.authenticated === undefined)
    throw new ProblemError('unauthenticated', 'Send an access token and a proof.');
  return request.authenticated;
}

interface KnownToken {
  readonly claims: TokenClaims;
  readonly digest: string;
  readonly key: ProofKey;
}

const MAX_KNOWN_TOKENS = 10_000;

export function installAuthentication(app: FastifyInstance, gateway: Gateway): void {
  const nonces = new Nonces(gateway.keys.nonceKey);
  const known = new Map<string, KnownToken>();

  async function tokenOf(token: string, now: number): Promise<KnownToken> {
    const remembered = known.get(token);
    if (remembered !== undefined) {
      if (remembered.claims.expiresAt * 1000 > now) return remembered;
      known.delete(token);
    }
    const claims = await verifyToken(token, gateway);
    const digest = createHash('sha256').update(token).digest('base64url');
    const fresh = { claims, digest, key: proofKey(claims.signingKey) };
    if (known.size >= MAX_KNOWN_TOKENS) known.clear();
    known.set(token, fresh);
    return fresh;
  }

  async function authenticate(request: FastifyRequest): Promise<Caller> {
    const { authorization, dpop } = request.headers;
    if (authorization === undefined)
      throw new ProblemError('unauthenticated', 'Get a token at /oauth/token first.');
    const token = /^DPoP ([\w.~+/=-]+)$/i.exec(authorization)?.[1];
    if (token === undefined)
      throw new ProblemError('token_invalid', 'Send the token as `Authorization: DPoP <token>`.');
    if (typeof dpop !== 'string')
      throw new ProblemError('proof_required', 'Send a proof in the DPoP header.');
    const now = Date.now();
    const { claims, digest, key } = await tokenOf(token, now);
    const path = request.url.split('?', 1)[0] ?? '';
    const proof = await checkProof(dpop, key, {
      method: request.method,
      url: gateway.url + path,
      bodyDigest: request.bodyDigest,
      tokenDigest: digest,
      acceptsNonce: (nonce) => nonces.accepts(nonce, now),
      now,
    });
    const { tenantId, personId, serial, address, role } = claims;
    return {
      tenantId,
      personId,
      address,
      role,
      serial,
      proof: { id: proof.id, expiresAt: Nonces.replayableUntil(now) },
    };
  }

  async function checkCurrent(caller: Caller): Promise<Caller> {
    const { tenantId, personId, proof } = caller;
    const person = await gateway.store.transaction(tenantId, async (tx) => {
      await requests.useProof(tx, tenantId, proof.id, proof.expiresAt);
      return people.getPerson(tx, tenantId, personId);
    });
    if (person.status !== 'active' || person.serial !== caller.serial) {
      throw new ProblemError('key_revoked', 'This key is not the registered one any more.');
    }
    return { ...caller, role: person.role };
  }

  app.decorateRequest('bodyDigest', EMPTY_DIGEST);
  app.decorateRequest('authenticated', undefined);
  app.addHook('onSend', async (_request, reply) => {
    void reply.header('dpop-nonce', nonces.current(Date.now()));
  });
  // After parsing, since the proof covers the body; before validation, so that strangers learn nothing of shapes.
  app.addHook('preValidation', async (request) => {
    const { authentication } = request.routeOptions.config;
    if (authentication === 'none' || request.is404) return;
    const caller = await authenticate(request);
    request.authenticated = authentication === 'in-release' ? caller : await checkCurrent(caller);
  });
}
