/** What must hold before a private key is used on a capsule. Everything is checked here against our own records. */
import type { CapsuleBytes } from '@astis/crypto';
import { verifyLinkChain, verifyStatement } from '@astis/crypto';
import type {
  Address,
  ArtifactId,
  CustodyCapsule,
  KeyId,
  SigningPublicKey,
  Statement,
  TenantId,
  WrapBytes,
} from '@astis/protocol';
import {
  canonicalAddress,
  decodeCertificate,
  decodeSign1,
  decodeStatement,
  decodeWrap,
  equalBytes,
  fromBase64Url,
  ProblemError,
} from '@astis/protocol';
import type { CustodyKey, IssuedCertificate } from '@astis/store';
import { ORDER_SKEW_SECONDS } from '../authority/order.ts';
import type { RewrapItem } from '../worker/jobs.ts';

/** A capsule in bytes, with the names by which it is filed and our records are looked up. */
export interface ReadCapsule {
  readonly ref: string;
  readonly bytes: CapsuleBytes;
  readonly sealerSerial: number;
  /** As the statement says, whose signature isn't checked yet. */
  readonly artifactId: ArtifactId;
  readonly keyId: KeyId;
}

/** Decodes; trusts nothing yet. @throws ProtocolError */
export function readCapsule(capsule: CustodyCapsule): ReadCapsule {
  const wrap = fromBase64Url(capsule.wrap) as WrapBytes;
  const sealerCertificate = fromBase64Url(capsule.sealerCertificate);
  const statement = fromBase64Url(capsule.statement);
  return {
    ref: capsule.ref,
    artifactId: decodeStatement(decodeSign1(statement, 'astis/statement').payload).artifactId,
    bytes: {
      statement,
      sealerCertificate,
      wrap,
      links: capsule.links.map(fromBase64Url),
      address: canonicalAddress(capsule.address),
    },
    sealerSerial: decodeCertificate(decodeSign1(sealerCertificate, 'astis/key-certificate').payload).serial,
    keyId: decodeWrap(wrap).keyId,
  };
}

/** Whom wraps are turned to, and from which of our keys that is allowed. */
export interface Turn {
  readonly tenantId: TenantId;
  readonly identityKey: SigningPublicKey;
  readonly target: IssuedCertificate;
  /** Whom the wraps must be to now. */
  readonly from: Address;
  /** @throws ProblemError `target_refused` */
  mayUse(key: CustodyKey): void;
  /** @throws ProblemError `target_refused` for a statement that this turn isn't about */
  isAbout(statement: Statement): void;
  /** Seconds since 1970. */
  readonly now: number;
  /** Holding keys made before then (seconds since 1970) have expired. */
  readonly oldestHolding: number;
}

export interface Records {
  readonly sealers: ReadonlyMap<number, IssuedCertificate>;
  readonly keys: ReadonlyMap<KeyId, CustodyKey>;
}

export interface CheckedCapsule extends RewrapItem {
  readonly ref: string;
  readonly statement: Statement;
  readonly key: CustodyKey;
}

/**
 * The sealer, by our own record and not by what a certificate says of itself. We signed it before it came in there, so
 * its signature need not be checked again. @throws ProblemError `certificate_invalid`
 */
function findSealer(capsule: ReadCapsule, sealers: Records['sealers']): IssuedCertificate {
  const sealer = sealers.get(capsule.sealerSerial);
  if (sealer === undefined || !equalBytes(sealer.bytes, capsule.bytes.sealerCertificate))
    throw new ProblemError('certificate_invalid', 'The sealer’s certificate was not issued here.');
  return sealer;
}

/**
 * The certificate must have counted when the statement was made. What a member sealed before the removal stays
 * openable; what is dated from the removal on, or outside of the certificate's life, is not accepted.
 */
function checkDate({ sealedAt, notAfter }: Statement, sealer: IssuedCertificate, now: number): void {
  if (sealer.endedAt !== undefined && sealedAt >= sealer.endedAt)
    throw new ProblemError('key_revoked', 'The sealer’s key did not count any more when this was sealed.');
  if (sealedAt < sealer.certificate.issuedAt - ORDER_SKEW_SECONDS || sealedAt > now + ORDER_SKEW_SECONDS)
    throw new ProblemError(
      'statement_invalid',
      'The statement is dated before the sealer’s key, or in the future.',
    );
  if (notAfter <= now) throw new ProblemError('expired', 'The latest expiry of the statement has passed.');
}

function checkKey(key: CustodyKey | undefined, turn: Turn): asserts key is CustodyKey {
  if (key === undefined || key.address !== turn.from)
    throw new ProblemError('target_refused', 'The wrap is not to a key that is held for this recipient.');
  turn.mayUse(key);
  const expired = key.purpose === 'holding' && key.createdAt < turn.oldestHolding;
  if (key.sealed === undefined || expired)
    throw new ProblemError('key_destroyed', 'The key that this is wrapped to is gone.');
}

/** @throws ProblemError, ProtocolError, CryptoError: why this capsule is refused */
export function checkCapsule(capsule: ReadCapsule, turn: Turn, { sealers, keys }: Records): CheckedCapsule {
  const { wrap, links, address } = capsule.bytes;
  const { keyId, ref } = capsule;
  const sealer = findSealer(capsule, sealers);
  const statement = verifyStatement(capsule.bytes.statement, sealer.certificate);
  verifyLinkChain({ statement, wrap, links, identityKey: turn.identityKey, recipient: { address, keyId } });
  checkDate(statement, sealer, turn.now);
  turn.isAbout(statement);
  if (address !== turn.from)
    throw new ProblemError(
      'target_refused',
      'The wrap is to another recipient than the key that is asked for.',
    );
  const key = keys.get(keyId);
  checkKey(key, turn);
  const { artifactId, headerHash, commitment, tenantId } = statement;
  const context = { artifactId, headerHash, commitment, tenantId, address, keyId };
  return { ref, wrap, context, statement, key };
}
