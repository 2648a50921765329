/** The sealer's statement. */
import type { KeyCertificate, Signed, Statement } from '@astis/protocol/formats';
import { canonicalStatement, decodeStatement, encodeStatement } from '@astis/protocol/formats';
import { CryptoError } from './errors.ts';
import type { Signer } from './signing.ts';
import { signObject, verifyObject } from './signing.ts';

/** Signs a statement; recipients and labels are put in canonical order first. */
export const signStatement = (statement: Statement, signer: Signer): Promise<Signed<'astis/statement'>> =>
  signObject('astis/statement', encodeStatement(canonicalStatement(statement)), signer);

/**
 * Checks a statement against the (already checked) certificate of the one who sealed.
 * @throws ProtocolError; CryptoError `certificate_invalid` (a key that signs nothing), `signature_invalid`,
 * `statement_mismatch` (of another tenant or address than the certificate's)
 */
export function verifyStatement(
  bytes: Signed<'astis/statement'> | Uint8Array,
  sealer: KeyCertificate,
): Statement {
  if (sealer.signingKey === undefined)
    throw new CryptoError('certificate_invalid', 'the sealer has no signing key');
  const statement = decodeStatement(verifyObject(bytes, 'astis/statement', sealer.signingKey));
  if (statement.tenantId !== sealer.tenantId || statement.sealer !== sealer.address)
    throw new CryptoError('statement_mismatch', 'the statement names another sealer than its signer');
  return statement;
}
