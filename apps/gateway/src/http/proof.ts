/**
 * DPoP proofs (RFC 9449), with one claim more: `bd`, the base64url SHA-256 of the request's body. So a proof is the
 * registered key's signature over method, URL, body, token, nonce and an id of its own.
 *
 * This is the hot path of every release, hence not jose: checking with a kept KeyObject and without re-importing the
 * JWK costs a third of the time, nearly all of it Ed25519's.
 */
import type { KeyObject } from 'node:crypto';
import { createPublicKey, verify } from 'node:crypto';
import type { SigningPublicKey } from '@astis/protocol';
import { ProblemError } from '@astis/protocol';

export interface Proof {
  readonly id: string;
}

export interface ExpectedProof {
  readonly method: string;
  /** Without query and fragment. */
  readonly url: string;
  /** base64url SHA-256 of the body's bytes. */
  readonly bodyDigest: string;
  /** base64url SHA-256 of the access token. */
  readonly tokenDigest: string;
  readonly acceptsNonce: (nonce: string) => boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const MAX_SKEW_SECONDS = 300;

const bad = (why: string): ProblemError => new ProblemError('proof_invalid', `The DPoP proof ${why}.`);

/** The one JOSE header that a proof by this key has, in the spelling of our SDK; others are compared as objects. */
export interface ProofKey {
  readonly key: KeyObject;
  readonly x: string;
  /** Header segments that were found good for this key. */
  readonly headers: Set<string>;
}

export function proofKey(publicKey: SigningPublicKey): ProofKey {
  const x = Buffer.from(publicKey).toString('base64url');
  return {
    key: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }),
    x,
    headers: new Set(),
  };
}

function object(segment: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Said below.
  }
  throw bad('is not a JWT');
}

function checkHeader(segment: string, { headers, x }: ProofKey): void {
  if (headers.has(segment)) return;
  const header = object(segment);
  const jwk = header['jwk'];
  const isJwk = typeof jwk === 'object' && jwk !== null && 'x' in jwk && 'kty' in jwk && 'crv' in jwk;
  if (header['typ'] !== 'dpop+jwt') throw bad('is not of type dpop+jwt');
  if (header['alg'] !== 'Ed25519' && header['alg'] !== 'EdDSA') throw bad('is not signed by Ed25519');
  if (!isJwk || jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519' || jwk.x !== x || 'd' in jwk) {
    throw new ProblemError(
      'proof_invalid',
      'The proof is by another key than the one which the token is bound to.',
    );
  }
  if ('crit' in header) throw bad('has critical extensions that are not known here');
  // Any spelling of the header makes a new segment; what is remembered is bounded.
  if (headers.size < 4) headers.add(segment);
}

/** @throws {ProblemError} `proof_invalid`, `proof_nonce_required` */
export async function checkProof(proof: string, by: ProofKey, expected: ExpectedProof): Promise<Proof> {
  const first = proof.indexOf('.');
  const second = proof.lastIndexOf('.');
  if (proof.length > 4096 || first < 1 || second <= first + 1 || proof.indexOf('.', first + 1) !== second) {
    throw bad('is not a JWT');
  }
  checkHeader(proof.slice(0, first), by);
  const claims = object(proof.slice(first + 1, second));
  const { jti, iat, nonce } = claims;
  if (claims['htm'] !== expected.method) throw bad('is for another method');
  if (claims['htu'] !== expected.url) throw bad('is for another URL');
  if (claims['bd'] !== expected.bodyDigest) throw bad('is for another body');
  if (claims['ath'] !== expected.tokenDigest) throw bad('is for another token');
  if (typeof jti !== 'string' || jti.length < 16 || jti.length > 128)
    throw bad('has no id of 16 to 128 characters');
  if (typeof iat !== 'number' || Math.abs(iat - expected.now / 1000) > MAX_SKEW_SECONDS) {
    throw bad('was not made now; set your clock');
  }
  if (typeof nonce !== 'string' || !expected.acceptsNonce(nonce)) {
    throw new ProblemError('proof_nonce_required', 'Use the nonce of the DPoP-Nonce header in a new proof.');
  }
  const signature = Buffer.from(proof.slice(second + 1), 'base64url');
  const isGood = await new Promise<boolean>((resolve, reject) => {
    verify(null, Buffer.from(proof.slice(0, second)), by.key, signature, (error, result) =>
      error === null ? resolve(result) : reject(error),
    );
  });
  if (!isGood) throw bad('has a wrong signature');
  return { id: jti };
}
