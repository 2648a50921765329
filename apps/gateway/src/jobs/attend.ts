/**
 * What is done now and then for every tenant, on each gateway: rotations and rewraps that are not finished, counted
 * denials, checkpoints, forgetting. Each is safe to do twice, so gateways need not agree on who does it.
 */
import type { TenantId } from '@astis/protocol';
import { capsules, denials, people, requests, rotations } from '@astis/store';
import type { FastifyBaseLogger } from 'fastify';
import { makeCheckpoint } from '../audit/checkpoint.ts';
import type { Gateway } from '../gateway.ts';
import { emptyHolding } from '../people/enrolment.ts';
import { carryOn } from '../rotations/rotate.ts';

type Parts = Pick<Gateway, 'store' | 'custody'>;

async function attend(gateway: Parts, tenantId: TenantId): Promise<void> {
  const { store } = gateway;
  const { running, holdings } = await store.transaction(tenantId, async (tx) => ({
    running: await rotations.runningRotations(tx, tenantId),
    holdings: await capsules.unfinishedHoldings(tx, tenantId),
  }));
  for (const rotation of running) await carryOn(gateway, tenantId, rotation);
  for (const { address, keyId } of holdings) {
    const person = await store.transaction(tenantId, (tx) => people.findByAddress(tx, tenantId, address));
    if (person !== undefined) await emptyHolding(gateway, tenantId, person, keyId);
  }
  await store.log.append(tenantId, async (tx) => ({
    events: await denials.flushDenials(tx),
    finish: () => undefined,
  }));
  await store.transaction(tenantId, (tx) => requests.forgetOldRequests(tx, tenantId));
  await makeCheckpoint(gateway, tenantId);
}

/** Attends to all tenants, again and again, until told to stop. One tenant's trouble is not another's. */
export function startAttending(gateway: Parts, everyMs: number, log: FastifyBaseLogger): () => Promise<void> {
  let stopping = false;
  let wake: () => void = () => undefined;
  const done = (async () => {
    while (!stopping) {
      try {
        await requests.noteClock(gateway.store.database);
        for (const tenantId of await requests.tenantsToAttend(gateway.store.database)) {
          if (stopping) break;
          await attend(gateway, tenantId).catch((error: unknown) => {
            log.warn(
              { tenant: tenantId, reason: error instanceof Error ? error.name : 'unknown' },
              'attending failed',
            );
          });
        }
      } catch (error) {
        log.warn({ reason: error instanceof Error ? error.name : 'unknown' }, 'attending failed');
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, everyMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (stopping) wake();
      });
    }
  })();
  return async () => {
    stopping = true;
    wake();
    await done;
  };
}
