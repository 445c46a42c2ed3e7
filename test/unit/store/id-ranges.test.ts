import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addId, hasId, isTaken, raiseFloor, take } from '../../../src/store/id-ranges.ts';

const ids = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 80 });

describe('id ranges', () => {
  it('hold exactly the ids added, as the fewest ranges, whatever the order', () => {
    fc.assert(
      fc.property(ids, (added) => {
        const ranges = added.reduce(addId, [] as readonly (readonly [number, number])[]);
        const set = new Set(added);
        for (let id = 0; id <= 61; id += 1) expect(hasId(ranges, id)).toBe(set.has(id));
        for (let i = 1; i < ranges.length; i += 1)
          expect(ranges[i]![0]).toBeGreaterThan(ranges[i - 1]![1] + 1);
      }),
    );
  });

  it('let a cursor take ids in any order and fold into its floor once they close up', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(
          Array.from({ length: 40 }, (_, i) => i + 1),
          { minLength: 40 },
        ),
        (order) => {
          const cursor = order.reduce(take, { floor: 0, taken: [] });
          expect(cursor).toStrictEqual({ floor: 40, taken: [] });
        },
      ),
    );
  });

  it('keep what is above the floor when it is raised', () => {
    fc.assert(
      fc.property(ids, fc.nat(60), (added, floor) => {
        const before = added.reduce(take, { floor: 0, taken: [] });
        const after = raiseFloor(before, floor);
        for (let id = 1; id <= 61; id += 1)
          expect(isTaken(after, id)).toBe(isTaken(before, id) || id <= floor);
        expect(after.taken.every(([from]) => from > after.floor + 1)).toBe(true);
      }),
    );
  });
});
