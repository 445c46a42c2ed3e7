import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MachineQueue, type Ordered } from '../../../src/inference/machine-queue.ts';

describe('MachineQueue', () => {
  it('delivers everything once, in submission order per machine, whatever order it finishes in', () => {
    const finishOrder = fc.shuffledSubarray(
      Array.from({ length: 12 }, (_, i) => i),
      { minLength: 12 },
    );
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 12, maxLength: 12 }),
        finishOrder,
        (machines, order) => {
          const queue = new MachineQueue<Ordered>();
          const delivered: number[] = [];
          const items = machines.map((machine, i) => ({
            machine,
            finished: false,
            deliver: () => void delivered.push(i),
          }));
          for (const item of items) queue.add(item);
          for (const i of order) {
            queue.finish(items[i]!);
            queue.finish(items[i]!);
          }
          expect(queue.openCount).toBe(0);
          for (const machine of ['a', 'b', 'c']) {
            const own = delivered.filter((i) => machines[i] === machine);
            expect(own).toEqual([...own].sort((x, y) => x - y));
          }
          expect(delivered).toHaveLength(12);
        },
      ),
    );
  });

  it('lets another machine pass while one waits', () => {
    const queue = new MachineQueue<Ordered>();
    const delivered: string[] = [];
    const item = (machine: string, name: string) => ({
      machine,
      finished: false,
      deliver: () => void delivered.push(name),
    });
    const [a1, a2, b1] = [item('a', 'a1'), item('a', 'a2'), item('b', 'b1')];
    for (const each of [a1, a2, b1]) queue.add(each);
    queue.finish(a2);
    queue.finish(b1);
    expect(delivered).toEqual(['b1']);
    queue.finish(a1);
    expect(delivered).toEqual(['b1', 'a1', 'a2']);
  });
});
