/** Turning wraps from one of our keys to a certified key: each capsule is checked by itself, the others go on. */
import type { ArtifactId, CustodyCapsule, CustodyMethod, KeyId, RewrapResult } from '@astis/protocol';
import { ProblemError, toBase64Url, wrapHash } from '@astis/protocol';
import type { CustodyKey, CustodyTx, Event } from '@astis/store';
import { custodyCertificates, custodyKeys } from '@astis/store';
import { sha256 } from '../authority/order.ts';
import type { Services } from '../calls/handler.ts';
import type { Refusal } from '../calls/refusal.ts';
import { refusalOf } from '../calls/refusal.ts';
import { sealedKey } from '../tenants/tenant.ts';
import type { Rewrapped, SealedKey } from '../worker/jobs.ts';
import type { CheckedCapsule, ReadCapsule, Records, Turn } from './check.ts';
import { checkCapsule, readCapsule } from './check.ts';

type Checked = CheckedCapsule | RefusedCapsule;

interface RefusedCapsule {
  readonly ref: string;
  /** What was asked for, where that could be read. */
  readonly artifactId?: ArtifactId;
  readonly refusal: Refusal;
}

/** A capsule, or why it is refused: that never ends the batch. A fault of ours does. */
function attempt<T>(named: Omit<RefusedCapsule, 'refusal'>, step: () => T): T | RefusedCapsule {
  try {
    return step();
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    return { ...named, refusal };
  }
}

export type AnyCapsule = ReadCapsule | RefusedCapsule;

export const readCapsules = (capsules: readonly CustodyCapsule[]): readonly AnyCapsule[] =>
  capsules.map((capsule) => attempt({ ref: capsule.ref }, () => readCapsule(capsule)));

const isRead = (capsule: AnyCapsule): capsule is ReadCapsule => 'sealerSerial' in capsule;

/** Our own records on what these capsules name. */
export async function recordsFor(tx: CustodyTx, capsules: readonly AnyCapsule[]): Promise<Records> {
  const read = capsules.filter(isRead);
  const serials = [...new Set(read.map(({ sealerSerial }) => sealerSerial))];
  const keyIds = [...new Set(read.map(({ keyId }) => keyId))];
  return {
    sealers: await custodyCertificates.findCertificates(tx, tx.tenantId, serials),
    keys: await custodyKeys.findKeys(tx, tx.tenantId, keyIds),
  };
}

export interface Turned {
  readonly results: readonly RewrapResult[];
  readonly events: readonly Event[];
  /** The keys that were used. */
  readonly used: readonly KeyId[];
}

function eventOf(
  method: CustodyMethod,
  actor: string,
  turn: Turn,
  capsule: Checked,
  outcome: Rewrapped | Refusal,
): Event {
  const known = 'statement' in capsule;
  const common = {
    ref: capsule.ref,
    to: turn.target.certificate.address,
    toKey: turn.target.kemKeyId,
    ...(known
      ? { from: capsule.context.address, fromKey: capsule.key.keyId, sealer: capsule.statement.sealer }
      : {}),
  };
  const subject = known ? capsule.statement.artifactId : (capsule.artifactId ?? '');
  if ('link' in outcome) {
    const hashes = { wrap: toBase64Url(wrapHash(outcome.wrap)), link: toBase64Url(sha256(outcome.link)) };
    return { kind: method, actor, subject, data: { ...common, ...hashes, outcome: 'granted' } };
  }
  const code =
    'refused' in outcome ? { code: outcome.refused } : { code: outcome.code, ...reasonOf(outcome) };
  return { kind: method, actor, subject, data: { ...common, ...code, outcome: 'refused' } };
}

const reasonOf = ({ reason }: Refusal) => (reason === undefined ? {} : { reason });

function resultOf(ref: string, outcome: Rewrapped | Refusal): RewrapResult {
  if ('link' in outcome) return { ref, wrap: toBase64Url(outcome.wrap), link: toBase64Url(outcome.link) };
  return { ref, refused: 'refused' in outcome ? outcome.refused : outcome.code };
}

async function turnFrom(
  key: CustodyKey,
  items: readonly CheckedCapsule[],
  turn: Turn,
  identity: SealedKey,
  workers: Services['workers'],
): Promise<ReadonlyMap<CheckedCapsule, Rewrapped>> {
  const { address, kem: targetKem, kemKey } = turn.target.certificate;
  if (key.kem === undefined) throw new Error('a key that holds wraps has a KEM');
  const outcomes = await workers.run({
    kind: 'rewrap',
    tenantId: turn.tenantId,
    from: { ...sealedKey(key), kem: key.kem },
    identity,
    to: { address, kem: targetKem, kemKey },
    items: items.map(({ wrap, context }) => ({ wrap, context })),
    at: turn.now,
  });
  const pairs = items.map((item, i) => [item, outcomes[i]] as const);
  if (pairs.some(([, outcome]) => outcome === undefined)) throw new Error('a worker left capsules out');
  return new Map(pairs.flatMap(([item, outcome]) => (outcome === undefined ? [] : [[item, outcome]])));
}

/**
 * Checks the capsules and lets a worker turn those that hold. Nothing of it may leave before the events are in the
 * log and {@link stillHolds} was asked under its lock.
 */
export async function turnCapsules(
  capsules: readonly AnyCapsule[],
  turn: Turn,
  records: Records,
  identity: SealedKey,
  audit: { readonly method: CustodyMethod; readonly actor: string },
  workers: Services['workers'],
): Promise<Turned> {
  const checked = capsules.map((capsule) =>
    isRead(capsule)
      ? attempt({ ref: capsule.ref, artifactId: capsule.artifactId }, () =>
          checkCapsule(capsule, turn, records),
        )
      : capsule,
  );
  const good = checked.filter((capsule) => 'statement' in capsule);
  const used = [...new Set(good.map(({ key }) => key))];
  const turned = new Map<CheckedCapsule, Rewrapped>();
  for (const key of used) {
    const items = good.filter((capsule) => capsule.key === key);
    for (const [item, outcome] of await turnFrom(key, items, turn, identity, workers))
      turned.set(item, outcome);
  }
  const outcomes = checked.map((capsule) => {
    const outcome = 'refusal' in capsule ? capsule.refusal : turned.get(capsule);
    if (outcome === undefined) throw new Error('a capsule without an outcome');
    return { capsule, outcome };
  });
  return {
    results: outcomes.map(({ capsule, outcome }) => resultOf(capsule.ref, outcome)),
    events: outcomes.map(({ capsule, outcome }) =>
      eventOf(audit.method, audit.actor, turn, capsule, outcome),
    ),
    used: used.map(({ keyId }) => keyId),
  };
}

/**
 * Asked in the transaction that logs the outcome: a target that was revoked, or a key that was destroyed, while the
 * worker was at it gets nothing. @throws ProblemError `target_refused`, `key_destroyed`
 */
export async function stillHolds(tx: CustodyTx, { target }: Turn, used: readonly KeyId[]): Promise<void> {
  const { serial } = target.certificate;
  const now = (await custodyCertificates.findCertificates(tx, tx.tenantId, [serial])).get(serial);
  if (now === undefined || now.endedAt !== undefined)
    throw new ProblemError('target_refused', 'The key to turn to does not count any more.');
  const keys = await custodyKeys.findKeys(tx, tx.tenantId, used);
  if (used.some((keyId) => keys.get(keyId)?.sealed === undefined))
    throw new ProblemError('key_destroyed', 'The key that this was wrapped to was destroyed.');
}
