import type { KeyId } from '@astis/protocol';
import { ORGANISATION, ProblemError, parseKeyId, parseTenantId } from '@astis/protocol';
import type { CustodyKey, CustodyTx, IssuedCertificate } from '@astis/store';
import { custodyCertificates } from '@astis/store';
import type { Handler } from '../calls/handler.ts';
import { GATEWAY, secondsOf } from '../calls/handler.ts';
import { loadTenant, sealedKey } from '../tenants/tenant.ts';
import { readCapsules, recordsFor, stillHolds, turnCapsules } from './turn.ts';

const refuse = (why: string): ProblemError => new ProblemError('target_refused', why);

/** The live certificate of the target key: only keys that we certified ourselves are wrapped to. */
async function findTarget(tx: CustodyTx, keyId: KeyId): Promise<IssuedCertificate> {
  const issued = await custodyCertificates.certificatesByKey(tx, tx.tenantId, keyId);
  const live = issued.find(({ kemKeyId, endedAt }) => kemKeyId === keyId && endedAt === undefined);
  if (live === undefined) throw refuse('There is no live certificate for the key to turn to.');
  if (live.certificate.kind === 'holding') throw refuse('Wraps are not turned to a holding key.');
  return live;
}

/** A holding key's wraps go to its own address; an older organisation key's go to the newest. */
function rule({ kemKeyId, certificate }: IssuedCertificate): (key: CustodyKey) => void {
  const purpose = certificate.kind === 'organisation' ? 'organisation' : 'holding';
  return (key) => {
    if (key.purpose !== purpose) throw refuse(`Only wraps to ${purpose} keys are turned to this key.`);
    if (key.keyId === kemKeyId) throw refuse('The wrap is to this key already.');
  };
}

/**
 * `rewrap`: holding key to the certified key of the same address, or an older organisation key to the newest.
 * Nobody's order is needed, because all it can do is to give a capsule to the very recipient that the sealer signed.
 */
export const rewrap: Handler<'rewrap'> = async (params, services) => {
  const tenantId = parseTenantId(params.tenantId);
  const targetKeyId = parseKeyId(params.targetKeyId);
  if (params.capsules.length === 0) throw new ProblemError('invalid_request', 'No capsule to rewrap.');
  const capsules = readCapsules(params.capsules);
  const view = await services.store.read(tenantId, async (tx) => ({
    ...(await loadTenant(tx)),
    target: await findTarget(tx, targetKeyId),
    records: await recordsFor(tx, capsules),
    now: secondsOf(tx.nowMs),
  }));
  const { target } = view;
  const turn = {
    tenantId,
    identityKey: view.identityKey,
    target,
    from: target.certificate.kind === 'organisation' ? ORGANISATION : target.certificate.address,
    mayUse: rule(target),
    isAbout: () => undefined,
    now: view.now,
    oldestHolding: view.now - services.holdingSeconds,
  };
  const audit = { method: 'rewrap', actor: GATEWAY } as const;
  const identity = sealedKey(view.identity);
  const turned = await turnCapsules(capsules, turn, view.records, identity, audit, services.workers);
  return {
    tenantId,
    async commit(tx) {
      await stillHolds(tx, turn, turned.used);
      return { result: { results: [...turned.results] }, events: turned.events };
    },
  };
};
