import { erase } from '@astis/crypto';
import { newChallengeAnswer, sealChallenge } from '@astis/crypto/custody';
import type { KemName, KemPublicKey } from '@astis/protocol';
import {
  fromBase64Url,
  KEM_NAMES,
  kemKeyId,
  ProblemError,
  parseTenantId,
  toBase64Url,
} from '@astis/protocol';
import { custodyRequests } from '@astis/store';
import { sha256 } from '../authority/order.ts';
import type { Handler } from '../calls/handler.ts';
import { GATEWAY, granted, secondsOf } from '../calls/handler.ts';
import { loadTenant } from '../tenants/tenant.ts';

export const CHALLENGE_SECONDS = 600;
/** Open challenges a tenant may have. */
const MAX_OPEN = 10_000;

function kemNamed(text: string): KemName {
  const kem = KEM_NAMES.find((name) => name === text);
  if (kem === undefined) throw new ProblemError('invalid_request', `kem is one of ${KEM_NAMES.join(', ')}.`);
  return kem;
}

/** `enrolment.challenge`: only who has the private KEM key can read the answer, of which only the hash is kept. */
export const challengeEnrolment: Handler<'enrolment.challenge'> = async (params) => {
  const tenantId = parseTenantId(params.tenantId);
  const kem = kemNamed(params.kem);
  const kemKey = fromBase64Url(params.kemKey) as KemPublicKey;
  const answer = newChallengeAnswer();
  const { enc, ciphertext } = await sealChallenge(kem, kemKey, answer);
  const answerHash = sha256(answer);
  erase(answer);
  const keyId = kemKeyId(kem, kemKey);
  return {
    tenantId,
    async commit(tx) {
      await loadTenant(tx);
      if ((await custodyRequests.countChallenges(tx, tenantId)) >= MAX_OPEN)
        throw new ProblemError('rate_limited', 'Too many enrolments are under way.');
      const lapses = secondsOf(tx.nowMs) + CHALLENGE_SECONDS;
      await custodyRequests.putChallenge(tx, tenantId, keyId, answerHash, lapses);
      return {
        result: { enc: toBase64Url(enc), ciphertext: toBase64Url(ciphertext) },
        events: [granted('enrolment.challenge', GATEWAY, '', { key: keyId })],
      };
    },
  };
};
