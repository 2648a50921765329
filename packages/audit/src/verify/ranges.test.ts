import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RangeSet } from './ranges.ts';

const numbers = (set: RangeSet): number[] =>
  set.ranges().flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));

it('is a set of numbers, in ranges that do not touch', () => {
  const append = fc.record({ gap: fc.nat({ max: 3 }), length: fc.integer({ min: 1, max: 4 }) });
  const removal = fc.record({ first: fc.nat({ max: 40 }), length: fc.integer({ min: -2, max: 12 }) });
  fc.assert(
    fc.property(fc.array(fc.oneof(append, removal)), (operations) => {
      const set = new RangeSet(1000);
      const model = new Set<number>();
      let next = 0;
      for (const operation of operations) {
        if ('gap' in operation) {
          const first = next + operation.gap;
          next = first + operation.length;
          expect(set.append(first, next - 1)).toBe(true);
          for (let n = first; n < next; n++) model.add(n);
        } else {
          const { first, length } = operation;
          let had = false;
          for (let n = first; n < first + length; n++) had = model.delete(n) || had;
          expect(set.remove(first, first + length - 1)).toBe(had);
        }
      }
      expect(numbers(set)).toEqual([...model].sort((a, b) => a - b));
    }),
  );
});

it('takes no more ranges than its bound, and says so', () => {
  const set = new RangeSet(2);
  expect([set.append(0, 0), set.append(2, 2), set.append(3, 9), set.append(11, 11)]).toEqual([
    true,
    true,
    true,
    false,
  ]);
  expect(set.ranges()).toEqual([
    { first: 0, last: 0 },
    { first: 2, last: 9 },
  ]);
});
