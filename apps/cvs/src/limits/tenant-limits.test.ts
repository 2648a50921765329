import { randomUUID } from 'node:crypto';
import { parseTenantId } from '@astis/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TenantLimits } from './tenant-limits.ts';

const newTenant = () => parseTenantId(randomUUID());

describe('a tenant’s limits', () => {
  test('let a burst of ten seconds through, then the rate', () => {
    const limits = new TenantLimits({ callsPerSecond: 2, capsulesPerSecond: 100 });
    const tenant = newTenant();
    const taken = (nowMs: number, calls: number) =>
      Array.from({ length: calls }, () => limits.take(tenant, 0, nowMs)).filter(Boolean).length;
    expect(taken(0, 50)).toBe(20);
    expect(taken(1000, 50)).toBe(2);
    expect(taken(1250, 50)).toBe(0);
    expect(taken(1500, 50)).toBe(1);
    expect(taken(1_000_000, 50)).toBe(20);
  });

  test('count capsules apart; a call that is refused for them costs nothing', () => {
    const limits = new TenantLimits({ callsPerSecond: 10, capsulesPerSecond: 25 });
    const tenant = newTenant();
    expect(limits.take(tenant, 250, 0)).toBe(true);
    expect(limits.take(tenant, 1, 0)).toBe(false);
    expect(limits.take(tenant, 0, 0)).toBe(true);
    expect(limits.take(tenant, 25, 1000)).toBe(true);
  });

  test('are each tenant’s own, and count what they refused until that is logged', () => {
    const limits = new TenantLimits({ callsPerSecond: 1, capsulesPerSecond: 1 });
    const [a, b] = [newTenant(), newTenant()];
    for (let i = 0; i < 13; i++) limits.take(a, 0, 0);
    expect(limits.take(b, 0, 0)).toBe(true);
    expect(limits.takeLimited(b)).toBe(0);
    expect(limits.takeLimited(a)).toBe(3);
    expect(limits.takeLimited(a)).toBe(0);
    limits.giveBackLimited(a, 3);
    expect(limits.takeLimited(a)).toBe(3);
  });

  test('never let through more than burst and rate allow, also when the clock steps back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -2000, max: 2000 }), fc.nat(20)), {
          minLength: 1,
          maxLength: 200,
        }),
        (steps) => {
          const limits = new TenantLimits({ callsPerSecond: 5, capsulesPerSecond: 50 });
          const tenant = newTenant();
          let now = 1_000_000;
          let forward = 0;
          let calls = 0;
          let capsules = 0;
          for (const [step, count] of steps) {
            now += step;
            forward += Math.max(0, step);
            if (limits.take(tenant, count, now)) {
              calls++;
              capsules += count;
            }
          }
          expect(calls).toBeLessThanOrEqual(50 + (forward / 1000) * 5 + 1e-6);
          expect(capsules).toBeLessThanOrEqual(500 + (forward / 1000) * 50 + 1e-6);
        },
      ),
    );
  });
});
