import { expect, it } from 'vitest';
import type { MachineStatus } from '../../../src/domain/gateway-status.ts';
import { MachineList } from '../../../src/runtime/machine-list.ts';

const status = (machine: string, healthIndex: number) => ({ machine, healthIndex }) as MachineStatus;

it('keeps the last word on every machine, by name, and sorts only after a change', () => {
  const list = new MachineList();
  expect(list.sorted()).toEqual([]);
  list.update([status('b', 1), status('a', 1)]);
  list.update([status('b', 0.5)]);
  const first = list.sorted();
  expect(first).toEqual([status('a', 1), status('b', 0.5)]);
  list.update([]);
  expect(list.sorted()).toBe(first);
});
