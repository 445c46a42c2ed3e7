/** Kills at any point: the committed windows are those of a gateway that was never killed. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrival, delays, OPTIONAL, settings, stream } from './arbitrary.ts';
import { GatewayModel, sizeOf } from './gateway-model.ts';
import { exactAll, type Sample, windowsOf } from './plant.ts';

/** What one tick does, and whether the process dies and where. */
const tick = fc.record({
  take: fc.integer({ min: 0, max: 6 }),
  compute: fc.integer({ min: 0, max: 4 }),
  commitResults: fc.integer({ min: 0, max: 3 }),
  kill: fc.constantFrom('no', 'no', 'no', 'no', 'before commit', 'after commit', 'after compute'),
  /** Acknowledged samples that are sent again, as distances back from the newest acknowledged one. */
  repeats: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 4 }),
  /** Order in which the channels repeat what was not acknowledged. */
  turn: fc.integer({ min: 0, max: 5 }),
});

/** Optional channels hold nobody back, so they must not come last; new channels neither: nobody waits for them. */
function resendOrder(gateway: GatewayModel, unacknowledged: readonly Sample[], turn: number): Sample[] {
  if (unacknowledged.some((s) => !gateway.knows(s))) return [...unacknowledged];
  const names = [...new Set(unacknowledged.map((s) => s.channel))].sort();
  const turned = [...names.slice(turn % (names.length || 1)), ...names.slice(0, turn % (names.length || 1))];
  const rank = (s: Sample) => (OPTIONAL.has(s.channel) ? -1 : turned.indexOf(s.channel));
  return unacknowledged.toSorted((x, y) => rank(x) - rank(y));
}

interface Life {
  /** Samples no commit has made durable yet, in the order they come. */
  ahead: Sample[];
  /** Of those, how many were sent at least once. */
  sent: number;
  /** In the order of their commits. */
  acknowledged: Sample[];
  repeated: number;
}

function restart(gateway: GatewayModel, life: Life, repeats: readonly number[], turn: number): void {
  const open = gateway.killAndRestart();
  expect(open, 'samples in open windows after the replay').toBe(gateway.disk.expectedOpen);
  const unacknowledged = resendOrder(gateway, life.ahead.slice(0, life.sent), turn);
  const again = repeats.flatMap((back) => life.acknowledged.at(-back) ?? []);
  life.repeated += again.reduce((sum, s) => sum + sizeOf(s), 0);
  life.ahead = [...again, ...unacknowledged, ...life.ahead.slice(life.sent)];
  life.sent = again.length + unacknowledged.length;
}

function live(gateway: GatewayModel, arrivals: readonly Sample[], ticks: readonly TickPlan[]): Life {
  const life: Life = { ahead: [...arrivals], sent: 0, acknowledged: [], repeated: 0 };
  for (const { take, compute, commitResults, kill, repeats, turn } of ticks) {
    const batch = life.ahead.slice(0, take);
    for (const s of batch) gateway.take(s);
    life.sent = Math.max(life.sent, batch.length);
    if (kill === 'before commit') {
      restart(gateway, life, repeats, turn);
      continue;
    }
    gateway.commit(commitResults);
    life.acknowledged.push(...batch);
    life.ahead = life.ahead.slice(batch.length);
    life.sent -= batch.length;
    if (kill === 'after commit') restart(gateway, life, repeats, turn);
    gateway.compute(compute);
    if (kill === 'after compute') restart(gateway, life, repeats, turn);
  }
  for (const s of life.ahead) gateway.take(s);
  gateway.finish();
  return life;
}

type TickPlan = typeof tick extends fc.Arbitrary<infer T> ? T : never;

describe('a gateway killed at any point', () => {
  it('commits bit for bit the windows of one that was not, each once, and its account balances', () => {
    let kills = 0;
    fc.assert(
      fc.property(
        settings,
        stream(40),
        delays,
        fc.array(tick, { minLength: 4, maxLength: 30, size: 'max' }),
        ({ config, outOfOrderMs }, samples, shares, ticks) => {
          const arrivals = arrival(samples, outOfOrderMs, shares);
          const gateway = new GatewayModel(config);
          const { repeated } = live(gateway, arrivals, ticks);
          const { disk, windower } = gateway;
          kills += ticks.filter(({ kill }) => kill !== 'no').length;

          expect([...disk.windows.values()].sort()).toEqual(exactAll(windowsOf(config, arrivals)).sort());
          expect(disk.committedTwice).toEqual([]);
          expect(disk.expectedOpen).toBe(0);
          const sent = arrivals.reduce((sum, s) => sum + sizeOf(s), 0);
          expect(disk.counts.accepted).toBe(sent + repeated);
          // Only repeats of what was acknowledged may be late, and nothing is lost to them.
          expect(disk.counts.late).toBeLessThanOrEqual(repeated);
          expect(disk.counts.overLimit).toBe(0);
          expect(windower.openSamples()).toBe(0);
          expect(windower.oldestBatchNeeded()).toBe(Number.POSITIVE_INFINITY);
        },
      ),
      { numRuns: 4_000 },
    );
    expect(kills).toBeGreaterThan(10_000);
  }, 90_000);
});
