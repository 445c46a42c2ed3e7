import { expect, it } from 'vitest';
import { DamageAlarm } from '../../../src/runtime/damage-alarm.ts';

it('an alarm about damage is raised once, the same after a restart, and cleared when nobody has to look any more', () => {
  const damage = { folder: 'data/quarantine/x', atMs: 1000, reason: 'not a database header' };
  const alarm = new DamageAlarm('plant-7');
  const [raised] = alarm.look(damage, 5000);
  expect(raised).toMatchObject({
    machine: 'plant-7',
    condition: 'store',
    transition: 'raised',
    timeMs: 1000,
    message: expect.stringContaining('data/quarantine/x'),
  });
  expect(alarm.look(damage, 6000)).toEqual([]);
  expect(new DamageAlarm('plant-7').look(damage, 9000)).toEqual([raised]);
  expect(alarm.look(null, 7000)).toMatchObject([{ transition: 'cleared', timeMs: 7000 }]);
  expect(alarm.look(null, 8000)).toEqual([]);
});
