/** Revoking, shortening and extending. */
import { createHash } from 'node:crypto';
import type { PolicyCapsule } from '@astis/policy';
import { effectiveTtl } from '@astis/policy';
import type { Address, Artifact, ArtifactId, RevokeRequest, TtlRequest } from '@astis/protocol';
import {
  decodeSign1,
  decodeStatement,
  encodeStatement,
  equalBytes,
  ProblemError,
  parseAddress,
} from '@astis/protocol';
import type { LogTx } from '@astis/store';
import { capsules, requests } from '@astis/store';
import type { Static } from 'typebox';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../http/authentication.ts';
import { decodeBytes } from '../http/decoding.ts';
import { authorise } from '../policies/authorise.ts';
import { policyPerson } from '../policies/subjects.ts';
import { checkedStatement } from './create.ts';
import { artifactShown } from './shown.ts';
import { visibleArtifact } from './visible.ts';

type ArtifactRecord = Awaited<ReturnType<typeof capsules.getArtifact>>;

/** An artifact's capsules as policies see them: one for each recipient that the request is about. */
export async function policyCapsules(
  tx: LogTx,
  artifact: ArtifactRecord,
  addresses: readonly Address[],
): Promise<readonly PolicyCapsule[]> {
  const sealer = await policyPerson(tx, tx.tenantId, artifact.sealer);
  const list: PolicyCapsule[] = [];
  for (const address of addresses) {
    list.push({
      id: artifact.artifactId,
      labels: artifact.labels,
      sealer,
      recipient: await policyPerson(tx, tx.tenantId, address),
      sealedAt: Math.floor(artifact.sealedAt.getTime() / 1000),
      expiresAt: Math.floor(artifact.notAfter.getTime() / 1000),
    });
  }
  return list;
}

async function targets(tx: LogTx, artifact: ArtifactRecord, only: readonly string[] | undefined) {
  const list = await capsules.listCapsules(tx, tx.tenantId, [artifact.artifactId]);
  if (only === undefined) return list;
  const wanted = new Set(only.map(parseAddress));
  const found = list.filter(({ address }) => wanted.has(address));
  if (found.length !== wanted.size)
    throw new ProblemError('not_found', 'An address is not a recipient of the artifact.');
  return found;
}

export function revokeCapsules(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  id: ArtifactId,
  body: Static<typeof RevokeRequest>,
): Promise<Artifact> {
  return gateway.store.log.append(caller.tenantId, async (tx) => {
    const { artifact } = await visibleArtifact(tx, caller, id);
    const list = await targets(tx, artifact, body.addresses);
    const asked = await policyCapsules(
      tx,
      artifact,
      list.map(({ address }) => address),
    );
    await authorise(
      tx,
      gateway,
      caller,
      ip,
      ...asked.map((capsule) => ({ action: 'revoke' as const, capsule })),
    );
    const revoked = await capsules.revoke(
      tx,
      caller.tenantId,
      id,
      list.map(({ address }) => address),
    );
    const data = { addresses: [...revoked], ...(body.reason === undefined ? {} : { reason: body.reason }) };
    const shown = await artifactShown(tx, caller.tenantId, id);
    const events =
      revoked.length === 0 ? [] : [{ kind: 'capsule.revoked', actor: caller.address, subject: id, data }];
    return { events, finish: () => shown };
  });
}

/** The new statement says what the old one said, but for its times. */
function checkOnlyTimesDiffer(before: Uint8Array, after: ReturnType<typeof decodeStatement>): void {
  const old = decodeStatement(decodeSign1(before, 'astis/statement').payload);
  const sameTimes = { sealedAt: old.sealedAt, notAfter: old.notAfter };
  if (
    !equalBytes(encodeStatement({ ...after, ...sameTimes }), encodeStatement(old)) ||
    after.notAfter <= old.notAfter
  ) {
    throw new ProblemError(
      'statement_mismatch',
      'A new statement may only have a later end; all else stays as it was.',
    );
  }
}

export function setTtl(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  id: ArtifactId,
  body: Static<typeof TtlRequest>,
): Promise<Artifact> {
  const expiresAt = new Date(body.expiresAt);
  return gateway.store.log.append(caller.tenantId, async (tx) => {
    const { tenantId } = caller;
    const { artifact } = await visibleArtifact(tx, caller, id);
    const list = await targets(tx, artifact, body.addresses);
    const now = await requests.databaseNow(tx);
    if (expiresAt.getTime() <= now)
      throw new ProblemError('invalid_request', 'The new end is past; revoke instead.');
    const asked = await policyCapsules(
      tx,
      artifact,
      list.map(({ address }) => address),
    );
    const ttlSeconds = Math.ceil((expiresAt.getTime() - now) / 1000);
    const extends_ = list.some((capsule) => capsule.expiresAt.getTime() < expiresAt.getTime());
    const questions = asked.map((capsule) =>
      extends_ ? { action: 'extend' as const, capsule, ttlSeconds } : { action: 'revoke' as const, capsule },
    );
    await authorise(tx, gateway, caller, ip, ...questions);
    let ceiling = artifact.notAfter;
    const data: { addresses: string[]; expiresAt: string; statementSha256?: string } = {
      addresses: list.map(({ address }) => address),
      expiresAt: expiresAt.toISOString(),
    };
    if (body.statement !== undefined) {
      const bytes = decodeBytes(body.statement, 'statement');
      const statement = await checkedStatement(tx, caller, bytes);
      checkOnlyTimesDiffer(artifact.statement, statement);
      const { policy } = await gateway.store.policyCache.current(tx, tenantId);
      const ttl = effectiveTtl(policy.document, statement.notAfter - statement.sealedAt);
      if (!ttl.ok)
        throw new ProblemError('ttl_exceeds_maximum', `Policy allows at most ${ttl.maxTtlSeconds} seconds.`);
      ceiling = new Date(statement.notAfter * 1000);
      await capsules.replaceStatement(tx, tenantId, {
        artifactId: id,
        statement: bytes,
        notAfter: ceiling,
        sealerSerial: caller.serial,
      });
      data.statementSha256 = createHash('sha256').update(bytes).digest('base64url');
    } else if (list.some(({ status }) => status === 'expired')) {
      throw new ProblemError(
        'ttl_exceeds_statement',
        'It has expired; only a new statement of the sealer revives it.',
      );
    }
    if (expiresAt > ceiling) {
      throw new ProblemError(
        'ttl_exceeds_statement',
        `Only a new statement of ${artifact.sealer} goes past ${ceiling.toISOString()}.`,
      );
    }
    await capsules.setExpiry(
      tx,
      tenantId,
      id,
      list.map(({ address }) => address),
      expiresAt,
    );
    const shown = await artifactShown(tx, tenantId, id);
    return {
      events: [{ kind: 'capsule.ttl_changed', actor: caller.address, subject: id, data }],
      finish: () => shown,
    };
  });
}
