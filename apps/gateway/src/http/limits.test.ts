import { expect, test } from 'vitest';
import { Buckets } from './limits.ts';

const NOW = 1_800_000_000_000;

test('a bucket lets its rate through at once, then that much a second, and one key takes nothing from another', () => {
  const buckets = new Buckets(10);
  const taken = (key: string, now: number): number => {
    let count = 0;
    try {
      for (; count < 1000; count++) buckets.take(key, now);
    } catch (error) {
      expect(error).toMatchObject({ code: 'rate_limited' });
    }
    return count;
  };
  expect(taken('a', NOW)).toBe(10);
  expect(taken('a', NOW)).toBe(0);
  expect(taken('a', NOW + 500)).toBe(5);
  expect(taken('b', NOW + 500)).toBe(10);
  // Idle time is not saved up beyond one second's worth.
  expect(taken('a', NOW + 3_600_000)).toBe(10);
});

test('a clock that steps back gives nothing for free', () => {
  const buckets = new Buckets(2);
  buckets.take('a', NOW);
  buckets.take('a', NOW);
  expect(() => buckets.take('a', NOW - 60_000)).toThrow();
});
