/**
 * Talks to a gateway: gets tokens, signs a DPoP proof for every request with the registered key, keeps the server's
 * nonce, and turns problems into {@link ApiError}.
 */
import type { SigningPrivateKey, SigningPublicKey } from '@astis/protocol';
import { Problem, TokenResponse, toBase64Url, utf8 } from '@astis/protocol';
import { sha256 } from '@noble/hashes/sha2.js';
import type { JWK } from 'jose';
import { importJWK, SignJWT } from 'jose';
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { ApiError, SdkError } from './errors.ts';
import type { Identity } from './identity.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpAnswer {
  readonly status: number;
  /** Lower-case names. */
  header(name: string): string | undefined;
  text(): Promise<string>;
  /** The body's lines, for long answers. */
  lines(): AsyncIterable<string>;
}

/** Sends one request. Rejects with `gateway_unreachable` when there is no answer. */
export type Transport = (request: HttpRequest) => Promise<HttpAnswer>;

export type Query = Readonly<Record<string, string | number | undefined>>;

const digest = (text: string): string => toBase64Url(sha256(utf8(text)));

interface SendOptions {
  readonly query?: Query;
  readonly body?: object;
  readonly idempotencyKey?: string;
}

/** How often a request that is safe to repeat is sent again. */
const REPEATS = 3;
const FIRST_PAUSE_MS = 100;
/** Answers that may be others soon: too many requests, a gateway behind a proxy that restarts, a store that does. */
const PASSING: readonly number[] = [429, 502, 503, 504];

/** How often a request is signed anew because the nonce was not fresh. */
const NONCE_TRIES = 2;

async function problemOf(answer: HttpAnswer): Promise<ApiError | SdkError> {
  const text = await answer.text();
  try {
    const value: unknown = JSON.parse(text);
    if (Value.Check(Problem, value)) return new ApiError(value);
  } catch {
    // Said below.
  }
  return new SdkError(
    'answer_invalid',
    `The server answered ${answer.status} and no problem of ours. Is it an ASTIS gateway?`,
  );
}

/** An answer's body, checked against its schema. */
async function read<T extends TSchema>(answer: HttpAnswer, schema: T): Promise<Static<T>> {
  if (answer.status >= 400) throw await problemOf(answer);
  let value: unknown;
  try {
    value = JSON.parse(await answer.text());
  } catch {
    throw new SdkError('answer_invalid', 'The answer is not JSON. Is it an ASTIS gateway?');
  }
  if (!Value.Check(schema, value))
    throw new SdkError('answer_invalid', 'The answer does not have the expected shape.');
  return value;
}

/** Requests that need no token: enrolment and the making of tenants. */
export async function postOpenly<T extends TSchema>(
  transport: Transport,
  url: string,
  body: object,
  schema: T,
): Promise<Static<T>> {
  const headers = { 'content-type': 'application/json' };
  return read(await transport({ method: 'POST', url, headers, body: JSON.stringify(body) }), schema);
}

function jwkOf(signingKey: SigningPrivateKey, publicKey: SigningPublicKey): JWK {
  return { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(publicKey), d: toBase64Url(signingKey) };
}

export class Client {
  readonly identity: Identity;
  readonly #transport: Transport;
  readonly #key: ReturnType<typeof importJWK>;
  readonly #publicJwk: JWK;
  #token: { readonly text: string; readonly digest: string; readonly until: number } | undefined;
  #nonce: string | undefined;

  constructor(identity: Identity, transport: Transport) {
    this.identity = identity;
    this.#transport = transport;
    const jwk = jwkOf(identity.signingKey, identity.signer.publicKey);
    this.#key = importJWK(jwk, 'EdDSA');
    this.#publicJwk = { kty: 'OKP', crv: 'Ed25519', x: jwk.x ?? '' };
  }

  async #freshToken(): Promise<{ readonly text: string; readonly digest: string }> {
    if (this.#token !== undefined && this.#token.until > Date.now()) return this.#token;
    const { gatewayUrl, personId } = this.identity;
    const url = `${gatewayUrl}/oauth/token`;
    const assertion = await new SignJWT({})
      .setProtectedHeader({ alg: 'EdDSA' })
      .setIssuer(personId)
      .setSubject(personId)
      .setAudience(url)
      .setIssuedAt()
      .setExpirationTime('60s')
      .setJti(crypto.randomUUID())
      .sign(await this.#key);
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await this.#transport({ method: 'POST', url, headers, body });
    this.#nonce = answer.header('dpop-nonce') ?? this.#nonce;
    const { access_token: text, expires_in } = await read(answer, TokenResponse);
    // A little early, so that it does not lapse on the way.
    this.#token = { text, digest: digest(text), until: Date.now() + (expires_in - 30) * 1000 };
    return this.#token;
  }

  async #proof(method: string, url: string, bodyDigest: string, tokenDigest: string): Promise<string> {
    return new SignJWT({
      htm: method,
      htu: url.split('?', 1)[0] ?? url,
      bd: bodyDigest,
      ath: tokenDigest,
      ...(this.#nonce === undefined ? {} : { nonce: this.#nonce }),
    })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'EdDSA', jwk: this.#publicJwk })
      .setIssuedAt()
      .setJti(crypto.randomUUID())
      .sign(await this.#key);
  }

  /** Sends, and again when there is no answer, where a second arrival does no harm. */
  async #send(method: HttpRequest['method'], path: string, options: SendOptions): Promise<HttpAnswer> {
    const repeats = method === 'GET' || options.idempotencyKey !== undefined ? REPEATS : 0;
    for (let done = 0; ; done++) {
      try {
        const answer = await this.#attempt(method, path, options);
        if (done >= repeats || !PASSING.includes(answer.status)) return answer;
      } catch (error) {
        const isPassing = error instanceof SdkError && error.code === 'gateway_unreachable';
        if (done >= repeats || !isPassing) throw error;
      }
      // Spread, so that many clients that failed together do not come back together.
      const pause = FIRST_PAUSE_MS * 2 ** done * (0.5 + Math.random());
      await new Promise((wake) => setTimeout(wake, pause));
    }
  }

  async #attempt(method: HttpRequest['method'], path: string, options: SendOptions): Promise<HttpAnswer> {
    const query = Object.entries(options.query ?? {}).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)] as [string, string]],
    );
    const search = query.length === 0 ? '' : `?${new URLSearchParams(query)}`;
    const url = `${this.identity.gatewayUrl}${path}${search}`;
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    for (let left = NONCE_TRIES; ; left--) {
      const token = await this.#freshToken();
      const answer = await this.#transport({
        method,
        url,
        headers: {
          authorization: `DPoP ${token.text}`,
          dpop: await this.#proof(method, url, digest(body ?? ''), token.digest),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(options.idempotencyKey === undefined ? {} : { 'idempotency-key': options.idempotencyKey }),
        },
        ...(body === undefined ? {} : { body }),
      });
      this.#nonce = answer.header('dpop-nonce') ?? this.#nonce;
      if (answer.status !== 401 || left === 0) return answer;
      const problem = await problemOf(answer);
      if (!(problem instanceof ApiError)) throw problem;
      if (problem.code === 'token_invalid') this.#token = undefined;
      else if (problem.code !== 'proof_nonce_required') throw problem;
    }
  }

  async get<T extends TSchema>(path: string, schema: T, query: Query = {}): Promise<Static<T>> {
    return read(await this.#send('GET', path, { query }), schema);
  }

  /** A write. `idempotencyKey` makes it safe to repeat; releases have none, since each is decided anew. */
  async write<T extends TSchema>(
    method: 'POST' | 'PUT' | 'PATCH',
    path: string,
    body: object,
    schema: T,
    idempotencyKey?: string,
  ): Promise<Static<T>> {
    const options = { body, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
    return read(await this.#send(method, path, options), schema);
  }

  /** An answer of JSON Lines. */
  async lines(path: string): Promise<AsyncIterable<string>> {
    const answer = await this.#send('GET', path, {});
    if (answer.status >= 400) throw await problemOf(answer);
    return answer.lines();
  }
}
