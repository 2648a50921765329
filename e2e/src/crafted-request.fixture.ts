/** Requests made by hand, so that a test can get each part of token and proof wrong by itself (RFC 9449). */
import { createHash } from 'node:crypto';
import type { Signer } from '@astis/crypto';
import { toBase64Url, utf8 } from '@astis/protocol';
import type { HttpRequest, Transport } from '@astis/sdk';
import type { Member } from '@astis/testkit';

export interface Token {
  readonly text: string;
  /** The server's nonce that came with it. */
  readonly nonce: string;
}

export interface Answer {
  readonly status: number;
  /** Of a problem; empty where there was none. */
  readonly code: string;
  readonly body: string;
}

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');
const segment = (value: object): string => toBase64Url(utf8(JSON.stringify(value)));
const now = (): number => Math.floor(Date.now() / 1000);

async function jwt(header: object, claims: object, signer: Signer): Promise<string> {
  const input = `${segment(header)}.${segment(claims)}`;
  return `${input}.${toBase64Url(await signer.sign(utf8(input)))}`;
}

export async function getToken({ identity }: Member, transport: Transport): Promise<Token> {
  const url = `${identity.gatewayUrl}/oauth/token`;
  const { personId } = identity;
  const claims = {
    iss: personId,
    sub: personId,
    aud: url,
    iat: now(),
    exp: now() + 60,
    jti: crypto.randomUUID(),
  };
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await jwt({ alg: 'EdDSA' }, claims, identity.signer),
  }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await transport({ method: 'POST', url, headers, body });
  if (answer.status !== 200) throw new Error(`no token: ${answer.status}`);
  const { access_token: text }: { access_token: string } = JSON.parse(await answer.text());
  return { text, nonce: answer.header('dpop-nonce') ?? '' };
}

export interface Wanted {
  readonly method: HttpRequest['method'];
  /** With its query. */
  readonly path: string;
  readonly body?: object;
}

/** What an attacker changes about a request that would otherwise be good. */
export interface Changes {
  /** Signs the proof instead of the registered key. */
  readonly signer?: Signer;
  /** The key that the proof says it is by; absent: the signer's. */
  readonly claimedKey?: Signer;
  /** Replaces claims of the proof. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function craft(
  member: Member,
  token: Token,
  wanted: Wanted,
  changes: Changes = {},
): Promise<HttpRequest> {
  const { identity } = member;
  const url = `${identity.gatewayUrl}${wanted.path}`;
  const body = wanted.body === undefined ? undefined : JSON.stringify(wanted.body);
  const signer = changes.signer ?? identity.signer;
  const key = changes.claimedKey ?? signer;
  const proof = await jwt(
    {
      typ: 'dpop+jwt',
      alg: 'EdDSA',
      jwk: { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(key.publicKey) },
    },
    {
      htm: wanted.method,
      htu: url.split('?', 1)[0],
      bd: digest(body ?? ''),
      ath: digest(token.text),
      nonce: token.nonce,
      iat: now(),
      jti: crypto.randomUUID(),
      ...changes.claims,
    },
    signer,
  );
  return {
    method: wanted.method,
    url,
    headers: {
      authorization: `DPoP ${token.text}`,
      dpop: proof,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...changes.headers,
    },
    ...(body === undefined ? {} : { body }),
  };
}

export async function send(transport: Transport, request: HttpRequest): Promise<Answer> {
  const answer = await transport(request);
  const body = await answer.text();
  let code = '';
  if (answer.status >= 400) {
    const problem: { readonly code?: string } = JSON.parse(body);
    code = problem.code ?? '';
  }
  return { status: answer.status, code, body };
}
