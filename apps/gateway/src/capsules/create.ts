/** Storing what was sealed, after everything about it that can be checked without a key was checked. */
import { createHash } from 'node:crypto';
import { verifyStatement } from '@astis/crypto';
import { effectiveTtl } from '@astis/policy';
import type { Address, Artifact, CapsuleCreateItem, Statement } from '@astis/protocol';
import {
  checkWrapKey,
  decodeCertificate,
  decodeSign1,
  decodeWrap,
  ORGANISATION,
  ProblemError,
  parseAddress,
  parseCapsuleId,
} from '@astis/protocol';
import type { Event, LogTx } from '@astis/store';
import { capsules, people, requests } from '@astis/store';
import type { Static } from 'typebox';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../http/authentication.ts';
import { decodeBytes } from '../http/decoding.ts';
import type { Question } from '../policies/authorise.ts';
import { authorise } from '../policies/authorise.ts';
import { policyPerson } from '../policies/subjects.ts';
import { artifactShown } from './shown.ts';

type Item = Static<typeof CapsuleCreateItem>;

/** How far the sealer's clock may be from the database's. */
const MAX_SKEW_SECONDS = 300;

interface ReadItem {
  readonly statementBytes: Uint8Array;
  readonly wraps: ReadonlyMap<Address, Uint8Array>;
}

/** Decodes before the log is locked; a bad encoding never waits for anybody. */
function readItem(item: Item): ReadItem {
  const wraps = new Map<Address, Uint8Array>();
  for (const { address, wrap } of item.wraps) {
    const recipient = parseAddress(address);
    if (wraps.has(recipient)) throw new ProblemError('statement_mismatch', 'A recipient has two wraps.');
    wraps.set(recipient, decodeBytes(wrap, 'wrap'));
  }
  return { statementBytes: decodeBytes(item.statement, 'statement'), wraps };
}

/** The statement, checked under the caller's current certificate. */
export async function checkedStatement(tx: LogTx, caller: Caller, bytes: Uint8Array): Promise<Statement> {
  const { certificate } = await people.certificateBySerial(tx, caller.tenantId, caller.serial);
  const statement = verifyStatement(
    bytes,
    decodeCertificate(decodeSign1(certificate, 'astis/key-certificate').payload),
  );
  if (statement.sealer !== caller.address || statement.tenantId !== caller.tenantId) {
    throw new ProblemError('sealer_mismatch', 'Seal with your own registered key.');
  }
  const now = Math.floor((await requests.databaseNow(tx)) / 1000);
  if (Math.abs(statement.sealedAt - now) > MAX_SKEW_SECONDS) {
    throw new ProblemError('statement_invalid', 'The time of sealing is not now. Set your clock.');
  }
  if (statement.notAfter <= now) throw new ProblemError('statement_invalid', 'It has expired already.');
  return statement;
}

async function checkRecipients(
  tx: LogTx,
  caller: Caller,
  { recipients }: Statement,
  wraps: ReadonlyMap<Address, Uint8Array>,
): Promise<readonly Parameters<typeof capsules.createArtifact>[3][number][]> {
  const live = await people.liveCertificates(
    tx,
    caller.tenantId,
    recipients.map(({ address }) => address),
  );
  const byAddress = new Map(live.map((certificate) => [certificate.address, certificate]));
  if (wraps.size !== recipients.length) {
    throw new ProblemError(
      'statement_mismatch',
      'There must be one wrap for each recipient of the statement.',
    );
  }
  return recipients.map(({ address, keyId }) => {
    const certificate = byAddress.get(address);
    const wrap = wraps.get(address);
    if (wrap === undefined) throw new ProblemError('statement_mismatch', `There is no wrap for ${address}.`);
    if (certificate === undefined) {
      throw new ProblemError(
        'recipient_unknown',
        `${address} has no certified key; ask for a holding key first.`,
      );
    }
    if (certificate.kemKeyId !== keyId) {
      throw new ProblemError(
        'recipient_key_stale',
        `${address} has another key by now; look it up and seal again.`,
      );
    }
    checkWrapKey(decodeWrap(wrap), keyId);
    return { id: parseCapsuleId(crypto.randomUUID()), address, keyId, kind: certificate.kind, wrap };
  });
}

/** Makes all of them or none. */
export function createCapsules(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  items: readonly Item[],
): Promise<Artifact[]> {
  const read = items.map(readItem);
  const { tenantId } = caller;
  return gateway.store.log.append(tenantId, async (tx) => {
    const events: Event[] = [];
    const created: Artifact[] = [];
    const { policy } = await gateway.store.policyCache.current(tx, tenantId);
    for (const { statementBytes, wraps } of read) {
      const statement = await checkedStatement(tx, caller, statementBytes);
      const ttlSeconds = statement.notAfter - statement.sealedAt;
      const ttl = effectiveTtl(policy.document, ttlSeconds);
      if (!ttl.ok) {
        throw new ProblemError('ttl_exceeds_maximum', `Policy allows at most ${ttl.maxTtlSeconds} seconds.`);
      }
      const rows = await checkRecipients(tx, caller, statement, wraps);
      if (rows.some(({ address }) => address === ORGANISATION) && !policy.document.recovery) {
        throw new ProblemError(
          'recovery_disabled',
          'Do not seal to the organisation, or have recovery turned on.',
        );
      }
      const sealer = await policyPerson(tx, tenantId, caller.address);
      const questions: Question[] = [];
      for (const { address } of rows) {
        const recipient = await policyPerson(tx, tenantId, address);
        const capsule = {
          id: statement.artifactId,
          labels: statement.labels,
          sealer,
          recipient,
          sealedAt: statement.sealedAt,
          expiresAt: statement.notAfter,
        };
        questions.push({ action: 'seal' as const, capsule, ttlSeconds });
      }
      await authorise(tx, gateway, caller, ip, ...questions);
      const isNew = await capsules.createArtifact(
        tx,
        tenantId,
        {
          artifactId: statement.artifactId,
          sealer: statement.sealer,
          sealerSerial: caller.serial,
          labels: statement.labels,
          sealedAt: new Date(statement.sealedAt * 1000),
          notAfter: new Date(statement.notAfter * 1000),
          statement: statementBytes,
        },
        rows,
      );
      if (isNew) {
        events.push({
          kind: 'capsule.created',
          actor: caller.address,
          subject: statement.artifactId,
          data: {
            statementSha256: createHash('sha256').update(statementBytes).digest('base64url'),
            recipients: statement.recipients.map(({ address, keyId }) => ({ address, keyId })),
            labels: [...statement.labels],
            expiresAt: new Date(statement.notAfter * 1000).toISOString(),
          },
        });
      }
      created.push(await artifactShown(tx, tenantId, statement.artifactId));
    }
    return { events, finish: () => created };
  });
}
