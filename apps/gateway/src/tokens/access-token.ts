/** Access tokens: short-lived JWTs bound to the registered key by `cnf.jkt` (RFC 9449 §6). */
import type { Address, PersonId, Role, SigningPublicKey, TenantId } from '@astis/protocol';
import {
  fromBase64Url,
  ProblemError,
  parseAddress,
  parsePersonId,
  parseTenantId,
  toBase64Url,
} from '@astis/protocol';
import { calculateJwkThumbprint, errors, jwtVerify, SignJWT } from 'jose';
import type { Gateway } from '../gateway.ts';

export const TOKEN_SECONDS = 600;

export interface TokenClaims {
  readonly tenantId: TenantId;
  readonly personId: PersonId;
  readonly address: Address;
  readonly role: Role;
  /** Of the certificate that was current when the token was issued. */
  readonly serial: number;
  readonly signingKey: SigningPublicKey;
  /** Seconds since 1970. */
  readonly expiresAt: number;
}

export async function issueToken(
  claims: Omit<TokenClaims, 'expiresAt'>,
  { keys, url }: Pick<Gateway, 'keys' | 'url'>,
): Promise<string> {
  const x = toBase64Url(claims.signingKey);
  const jkt = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x });
  return new SignJWT({
    tid: claims.tenantId,
    addr: claims.address,
    role: claims.role,
    ser: claims.serial,
    // The key itself beside its thumbprint, so that a proof can be checked without asking the store.
    cnf: { jkt, jwk: { kty: 'OKP', crv: 'Ed25519', x } },
  })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt' })
    .setIssuer(url)
    .setAudience(url)
    .setSubject(claims.personId)
    .setIssuedAt()
    .setExpirationTime(`${TOKEN_SECONDS}s`)
    .sign(keys.tokenKey.privateKey);
}

function keyIn(cnf: unknown): SigningPublicKey {
  if (typeof cnf === 'object' && cnf !== null && 'jwk' in cnf) {
    const { jwk } = cnf;
    if (typeof jwk === 'object' && jwk !== null && 'x' in jwk && typeof jwk.x === 'string') {
      return fromBase64Url(jwk.x) as SigningPublicKey;
    }
  }
  throw new ProblemError('token_invalid', 'Get a new token.');
}

/** @throws {ProblemError} `token_invalid` */
export async function verifyToken(
  token: string,
  { keys, url }: Pick<Gateway, 'keys' | 'url'>,
): Promise<TokenClaims> {
  try {
    const { payload } = await jwtVerify(token, keys.tokenKey.publicKey, {
      algorithms: ['EdDSA'],
      typ: 'at+jwt',
      issuer: url,
      audience: url,
      requiredClaims: ['exp', 'sub', 'tid', 'addr', 'role', 'ser', 'cnf'],
    });
    return {
      tenantId: parseTenantId(String(payload['tid'])),
      personId: parsePersonId(payload.sub ?? ''),
      address: parseAddress(String(payload['addr'])),
      role: payload['role'] === 'admin' ? 'admin' : 'member',
      serial: Number(payload['ser']),
      signingKey: keyIn(payload['cnf']),
      expiresAt: payload.exp ?? 0,
    };
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      throw new ProblemError('token_invalid', 'The token has expired; get a new one.');
    throw new ProblemError('token_invalid', 'Get a new token at /oauth/token.');
  }
}
