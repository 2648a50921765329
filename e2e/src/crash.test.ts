/**
 * kill -9 of gateway, CVS and PostgreSQL at random points under load. What was acknowledged must be there afterwards:
 * every capsule, every release with its entry, and a log that verifies against the receipts. ASTIS_CRASHES sets how
 * many times (200 and more before a release; a few in the ordinary run).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ExportVerifier, parseVerifierKey } from '@astis/audit';
import type { Address, Receipt } from '@astis/protocol';
import { lookUp, prepareSealing, requestRelease, show } from '@astis/sdk';
import type { Member, Stack } from '@astis/testkit';
import { newOrganisation, startStack } from '@astis/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';

const CRASHES = Number(process.env['ASTIS_CRASHES'] ?? 12);

let home: string;
let stack: Stack;

beforeAll(async () => {
  home = mkdtempSync('/tmp/astis-crash-');
  stack = await startStack({ home: join(home, 'stack') });
});

afterAll(async () => {
  await stack.stop();
  rmSync(home, { recursive: true, force: true });
});

/** Seals and asks for releases until told to stop; remembers only what was acknowledged. */
async function work(
  { client, identity }: Member,
  acknowledged: { readonly capsules: string[]; readonly receipts: Receipt[] },
  isOver: () => boolean,
): Promise<void> {
  const pins = { get: () => undefined, set: () => undefined };
  while (!isOver()) {
    try {
      const keys = await lookUp(client, [identity.address as Address], pins);
      const sealing = await prepareSealing(client, keys, { ttlSeconds: 3600, labels: [] });
      const { artifactId } = await sealing.register();
      acknowledged.capsules.push(artifactId);
      const { receipt } = await requestRelease(client, sealing.statement.artifactId);
      acknowledged.receipts.push(receipt);
    } catch {
      // No answer, or a refusal while something is down: nothing was acknowledged, so nothing is owed.
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }
}

test(`nothing acknowledged is lost in ${CRASHES} crashes`, {
  timeout: 60_000 + CRASHES * 15_000,
}, async () => {
  const organisation = await newOrganisation(stack, 'crash.test');
  const { admin } = organisation;
  const acknowledged = { capsules: [] as string[], receipts: [] as Receipt[] };
  let over = false;
  const workers = Array.from({ length: 8 }, () => work(admin, acknowledged, () => over));

  const victims = [
    async () => {
      await stack.gateway.kill();
      await stack.restartGateway();
    },
    async () => {
      await stack.cvs.kill();
      await stack.restartCvs();
    },
    async () => {
      process.kill(stack.postgres.pid, 'SIGKILL');
      await stack.postgres.exited;
      await stack.restartPostgres();
    },
  ];
  for (let crash = 0; crash < CRASHES; crash++) {
    const before = acknowledged.receipts.length;
    // Each crash hits work under way: some was acknowledged since the last one.
    await expect
      .poll(() => acknowledged.receipts.length, { timeout: 30_000, interval: 5 })
      .toBeGreaterThan(before + Math.floor(Math.random() * 8));
    await victims[crash % victims.length]?.();
  }
  over = true;
  await Promise.all(workers);

  const { tenant } = admin.identity;
  const lines: string[] = [];
  for await (const line of await admin.client.lines('/v1/audit/export')) lines.push(line);
  const verifier = new ExportVerifier(
    {
      checkpointKeys: [parseVerifierKey(tenant.checkpointKey)],
      receiptKeys: [parseVerifierKey(tenant.receiptKey)],
    },
    { tenant: tenant.tenantId, origin: tenant.logOrigin, receipts: acknowledged.receipts },
  );
  for (const line of lines) verifier.push(line);
  expect(verifier.end().findings).toEqual([]);

  const events = lines.slice(1, -1).map((line): { kind: string; subject: string } => JSON.parse(line).event);
  const created = new Set(
    events.filter(({ kind }) => kind === 'capsule.created').map(({ subject }) => subject),
  );
  expect(acknowledged.capsules.filter((id) => !created.has(id))).toEqual([]);
  for (const id of acknowledged.capsules) expect((await show(admin.client, id)).capsules).toHaveLength(1);
  // Nothing is half done either: an entry without its capsule would be one too many.
  for (const id of created) expect((await show(admin.client, id)).artifactId).toBe(id);
  organisation.transport.close();
});
