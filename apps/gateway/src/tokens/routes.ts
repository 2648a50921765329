/**
 * `POST /oauth/token`: OAuth 2 client credentials (RFC 6749 §4.4) by private_key_jwt (RFC 7523). People and service
 * clients alike sign the assertion with their registered key; the token is bound to that same key.
 */
import { createPublicKey } from 'node:crypto';
import { ProblemError, parsePersonId, TokenRequest, TokenResponse, toBase64Url } from '@astis/protocol';
import { people, requests } from '@astis/store';
import { decodeJwt, jwtVerify } from 'jose';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { Gateway } from '../gateway.ts';
import { refusals } from '../http/problems.ts';
import { issueToken, TOKEN_SECONDS } from './access-token.ts';

// One answer to every failure: whether a person exists is not told to strangers.
const refused = (): ProblemError =>
  new ProblemError(
    'unauthenticated',
    'The client assertion does not hold. Is the key registered, and your clock right?',
  );

const MAX_ASSERTION_SECONDS = 120;

async function tokenFor(gateway: Gateway, assertion: string): Promise<string> {
  const { store, url } = gateway;
  let claims: ReturnType<typeof decodeJwt>;
  let personId: ReturnType<typeof parsePersonId>;
  try {
    claims = decodeJwt(assertion);
    personId = parsePersonId(claims.sub ?? '');
  } catch {
    throw refused();
  }
  const tenantId = await people.tenantOfPerson(store.database, personId);
  if (tenantId === undefined) throw refused();
  const person = await store.transaction(tenantId, (tx) => people.getPerson(tx, tenantId, personId));
  const { signingKey, serial, status, address, role } = person;
  if (status !== 'active' || signingKey === undefined || serial === undefined) throw refused();
  const { jti } = await jwtVerify(
    assertion,
    createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(signingKey) }, format: 'jwk' }),
    {
      algorithms: ['EdDSA', 'Ed25519'],
      issuer: personId,
      subject: personId,
      audience: [`${url}/oauth/token`, url],
      maxTokenAge: MAX_ASSERTION_SECONDS,
      requiredClaims: ['exp', 'iat', 'jti'],
    },
  ).then(
    ({ payload }) => payload,
    () => Promise.reject(refused()),
  );
  if (jti === undefined || jti.length < 16 || jti.length > 128) throw refused();
  const until = new Date(Date.now() + 2 * MAX_ASSERTION_SECONDS * 1000);
  await store.transaction(tenantId, (tx) => requests.useProof(tx, tenantId, `assertion ${jti}`, until));
  return issueToken({ tenantId, personId, address, role, serial, signingKey }, gateway);
}

export function tokenRoutes(app: App, gateway: Gateway): void {
  app.post(
    '/oauth/token',
    {
      config: { authentication: 'none' },
      schema: {
        operationId: 'getToken',
        summary: 'Get an access token by a client assertion signed with the registered key',
        tags: ['tokens'],
        consumes: ['application/x-www-form-urlencoded'],
        body: TokenRequest,
        response: { 200: TokenResponse, ...refusals },
      },
    },
    async (request) => ({
      access_token: await tokenFor(gateway, request.body.client_assertion),
      token_type: 'DPoP' as const,
      expires_in: TOKEN_SECONDS,
    }),
  );

  app.get(
    '/.well-known/oauth-authorization-server',
    {
      config: { authentication: 'none' },
      schema: {
        operationId: 'getAuthorizationServerMetadata',
        summary: 'Authorization server metadata (RFC 8414)',
        tags: ['tokens'],
        response: { 200: Type.Record(Type.String(), Type.Unknown()), ...refusals },
      },
    },
    async () => ({
      issuer: gateway.url,
      token_endpoint: `${gateway.url}/oauth/token`,
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: ['EdDSA', 'Ed25519'],
      dpop_signing_alg_values_supported: ['EdDSA', 'Ed25519'],
    }),
  );
}
