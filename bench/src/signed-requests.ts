/** Requests with proofs, signed ahead of the measurement. */
import type { KeyObject } from 'node:crypto';
import { createHash, createPrivateKey, randomUUID, sign } from 'node:crypto';
import type { Member } from '@astis/testkit';
import { request } from 'undici';
import type { PreparedRequest } from './load.ts';

const json64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

export interface RequestSigner {
  prepare(path: string, body: object): PreparedRequest;
}

function jwt(key: KeyObject, header: object, claims: object): string {
  const input = `${json64(header)}.${json64(claims)}`;
  return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`;
}

/** A token and a nonce of the gateway's, and a signer of requests with them; good for about two minutes. */
export async function requestSigner(
  member: Member,
  dispatcher: NonNullable<Parameters<typeof request>[1]>['dispatcher'],
): Promise<RequestSigner> {
  const { gatewayUrl, personId, signingKey, signer } = member.identity;
  const x = Buffer.from(signer.publicKey).toString('base64url');
  const jwk = { kty: 'OKP', crv: 'Ed25519', x };
  const key = createPrivateKey({
    key: { ...jwk, d: Buffer.from(signingKey).toString('base64url') },
    format: 'jwk',
  });
  const iat = Math.floor(Date.now() / 1000);
  const assertion = jwt(
    key,
    { alg: 'EdDSA' },
    { iss: personId, sub: personId, aud: `${gatewayUrl}/oauth/token`, iat, exp: iat + 60, jti: randomUUID() },
  );
  const answer = await request(`${gatewayUrl}/oauth/token`, {
    method: 'POST',
    ...(dispatcher === undefined ? {} : { dispatcher }),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }).toString(),
  });
  const { access_token: token } = (await answer.body.json()) as { access_token: string };
  const nonce = String(answer.headers['dpop-nonce']);
  const ath = digest(token);
  return {
    prepare(path, body) {
      const text = JSON.stringify(body);
      const dpop = jwt(
        key,
        { typ: 'dpop+jwt', alg: 'EdDSA', jwk },
        { htm: 'POST', htu: gatewayUrl + path, bd: digest(text), ath, nonce, iat, jti: randomUUID() },
      );
      return {
        path,
        body: text,
        headers: { 'content-type': 'application/json', authorization: `DPoP ${token}`, dpop },
      };
    },
  };
}
