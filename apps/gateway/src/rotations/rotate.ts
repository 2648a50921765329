/** Rotation of the organisation's key: a new key from the CVS, then all capsules of the old one, a batch at a time. */
import type { Rotation, TenantId } from '@astis/protocol';
import { decodeCertificate, decodeSign1, fromBase64Url, kemKeyId, parseKeyId } from '@astis/protocol';
import { capsules, people, rotations } from '@astis/store';
import type { Gateway } from '../gateway.ts';
import type { Caller } from '../http/authentication.ts';
import { rewrapAll } from '../people/rewrap.ts';
import { authorise } from '../policies/authorise.ts';

type Record = Awaited<ReturnType<typeof rotations.getRotation>>;
type Parts = Pick<Gateway, 'store' | 'custody'>;

export const shown = (rotation: Record): Rotation => ({
  id: rotation.id,
  status: rotation.status,
  total: rotation.total,
  done: rotation.done,
  fromKeyId: rotation.fromKeyId,
  toKeyId: rotation.toKeyId,
  startedAt: rotation.startedAt.toISOString(),
  ...(rotation.finishedAt === undefined ? {} : { finishedAt: rotation.finishedAt.toISOString() }),
});

export async function startRotation(
  gateway: Gateway,
  caller: Caller,
  ip: string,
  order: string,
): Promise<Rotation> {
  const { store, custody } = gateway;
  const { tenantId } = caller;
  await store.transaction(tenantId, (tx) => authorise(tx, gateway, caller, ip, { action: 'manageKeys' }));
  const answer = await custody.call('organisation.rotate', { tenantId, order });
  const certificate = fromBase64Url(answer.certificate);
  const decoded = decodeCertificate(decodeSign1(certificate, 'astis/key-certificate').payload);
  const toKeyId = kemKeyId(decoded.kem, decoded.kemKey);
  const fromKeyId = parseKeyId(answer.previousKeyId);
  return store.log.append(tenantId, async (tx) => {
    const known = (await rotations.runningRotations(tx, tenantId)).find(
      (rotation) => rotation.toKeyId === toKeyId,
    );
    if (known !== undefined) return { events: [], finish: () => shown(known) };
    await people.addCertificate(tx, tenantId, {
      serial: decoded.serial,
      address: decoded.address,
      kind: 'organisation',
      kemKeyId: toKeyId,
      certificate,
    });
    const rotation = await rotations.startRotation(tx, tenantId, {
      id: crypto.randomUUID(),
      fromKeyId,
      toKeyId,
      total: await capsules.countRewrapCandidates(tx, tenantId, fromKeyId),
    });
    const data = { rotation: rotation.id, from: fromKeyId, to: toKeyId, total: rotation.total };
    const events = [
      { kind: 'organisation.rotation_started', actor: caller.address, subject: 'organisation', data },
    ];
    return { events, finish: () => shown(rotation) };
  });
}

/** Carries a rotation on to its end. Safe to call again after a crash at any point. */
export async function carryOn(
  { store, custody }: Parts,
  tenantId: TenantId,
  rotation: Record,
): Promise<void> {
  const to = { keyId: rotation.toKeyId, kind: 'organisation' as const };
  await rewrapAll({ store, custody }, tenantId, rotation.fromKeyId, to, (done) =>
    store.transaction(tenantId, (tx) =>
      rotations.advanceRotation(tx, tenantId, rotation.id, { done, status: 'running' }),
    ),
  );
  const left = await store.transaction(tenantId, (tx) =>
    capsules.countRewrapCandidates(tx, tenantId, rotation.fromKeyId),
  );
  // The old key is destroyed only when nothing that could still be released needs it.
  if (left === 0) await custody.call('organisation.retire', { tenantId, keyId: rotation.fromKeyId });
  await store.log.append(tenantId, async (tx) => {
    const status = left === 0 ? 'done' : 'failed';
    await rotations.advanceRotation(tx, tenantId, rotation.id, { done: 0, status });
    const data = { rotation: rotation.id, status, left };
    return {
      events: [{ kind: 'organisation.rotation_finished', actor: 'system', subject: 'organisation', data }],
      finish: () => undefined,
    };
  });
}
