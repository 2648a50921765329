/** Who signed an object, among those whom the CVS certified itself. */
import { verifyObject } from '@astis/crypto';
import type { ProblemCode, SignedType } from '@astis/protocol';
import { decodeSign1, ProblemError } from '@astis/protocol';
import type { CustodyTx, IssuedCertificate } from '@astis/store';
import { custodyCertificates } from '@astis/store';

export interface SignedByMember {
  readonly payload: Uint8Array;
  readonly signer: IssuedCertificate;
}

/**
 * The payload, and the live certificate of the one who signed it. The signature is checked under the key of our own
 * record and no other. @throws ProblemError `refusal` (nobody we know, not an admin), `key_revoked`; ProtocolError;
 * CryptoError `signature_invalid`
 */
export async function signedByMember(
  tx: CustodyTx,
  object: Uint8Array,
  type: SignedType,
  role: 'admin' | 'anyone',
  refusal: ProblemCode,
): Promise<SignedByMember> {
  const { keyId } = decodeSign1(object, type);
  const known = await custodyCertificates.certificatesByKey(tx, tx.tenantId, keyId);
  const theirs = known.filter(({ signingKeyId }) => signingKeyId === keyId);
  const signer = theirs.find(({ endedAt }) => endedAt === undefined);
  if (signer === undefined) {
    throw theirs.length > 0
      ? new ProblemError('key_revoked', 'The key that signed this does not count any more.')
      : new ProblemError(refusal, 'Not signed by anybody with a certificate of this organisation.');
  }
  const { signingKey } = signer.certificate;
  if (signingKey === undefined || (role === 'admin' && signer.certificate.role !== 'admin'))
    throw new ProblemError(refusal, 'An admin of the organisation must sign this.');
  return { payload: verifyObject(object, type, signingKey), signer };
}
