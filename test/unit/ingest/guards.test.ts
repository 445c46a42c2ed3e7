import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AckQueue } from '../../../src/ingest/ack-queue.ts';
import { ClockOffset } from '../../../src/ingest/clock-guard.ts';
import { msFromIso8601 } from '../../../src/ingest/event-time.ts';
import { RateBudget } from '../../../src/ingest/rate-budget.ts';
import { reconnectDelayMs } from '../../../src/ingest/reconnect-delay.ts';
import { ReconnectPolicy } from '../../../src/ingest/reconnect-policy.ts';
import { SequenceGuard } from '../../../src/ingest/sequence-guard.ts';

function counted(sequences: number[]) {
  const counts = { missing: 0, repeated: 0, late: 0, restarted: 0 };
  const guard = new SequenceGuard();
  for (const sequence of sequences) guard.observe(sequence, counts);
  return counts;
}
const none = { missing: 0, repeated: 0, late: 0, restarted: 0 };

describe('SequenceGuard', () => {
  it.each([
    [[5, 6, 7, 8], none],
    [[1, 2, 5], { ...none, missing: 2 }],
    [[1, 3, 2], { ...none, missing: 1, late: 1 }],
    [[1, 2, 2, 1], { ...none, repeated: 2 }],
    [[2 ** 32 - 2, 2 ** 32 - 1, 0, 1], none],
    [[900, 901, 0, 1, 2], { ...none, restarted: 1 }],
    [[900, 901, 1, 2, 3, 4], { ...none, late: 2, restarted: 1 }],
    [[1, 2_000_000], { ...none, restarted: 1 }],
    [[100, 101, 20, 102], { ...none, late: 1 }],
  ])('%j counts %j', (sequences, expected) => {
    expect(counted(sequences)).toEqual(expected);
  });

  it('finds no number lost when a reordered stream is complete', () => {
    const shuffled = fc
      .array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 200 })
      .map((delays) =>
        delays
          .map((delay, i) => ({ i, at: i + delay }))
          .sort((a, b) => a.at - b.at || a.i - b.i)
          .map(({ i }) => i + 1000),
      );
    fc.assert(
      fc.property(shuffled, (sequences) => {
        const { missing, late, repeated, restarted } = counted(sequences);
        // What comes before the first number seen is late without having been missed.
        const early = sequences.filter((sequence) => sequence < sequences[0]!).length;
        expect([missing, repeated, restarted]).toEqual([late - early, 0, 0]);
      }),
    );
  });
});

describe('ClockOffset', () => {
  it('is the median of what it looked at, once a second', () => {
    const clock = new ClockOffset();
    expect(clock.medianMs()).toBeNaN();
    for (let now = 0; now < 20_000; now += 100) clock.observe(now - (now === 15_000 ? 99_999 : 2500), now);
    expect(clock.medianMs()).toBe(2500);
  });

  it('measures again after our own clock was set back', () => {
    const clock = new ClockOffset();
    clock.observe(1_000_000, 1_000_000);
    for (let now = 0; now < 40_000; now += 1000) clock.observe(now - 7, now);
    expect(clock.medianMs()).toBe(7);
  });
});

describe('msFromIso8601', () => {
  it.each([
    ['2026-11-23T08:15:30Z', Date.UTC(2026, 10, 23, 8, 15, 30)],
    ['2026-11-23T08:15:30.125Z', Date.UTC(2026, 10, 23, 8, 15, 30, 125)],
    ['2026-11-23 09:15:30,5+01:00', Date.UTC(2026, 10, 23, 8, 15, 30, 500)],
    ['2026-11-23T03:15:30-0500', Date.UTC(2026, 10, 23, 8, 15, 30)],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ])('reads %s', (text, expected) => {
    expect(msFromIso8601(text)).toBe(expected);
  });

  it.each(['2026-11-23T08:15:30', '2026-02-30T00:00:00Z', '2026-11-23', '2026-11-23T25:00:00Z', '1764', ''])(
    'refuses %s',
    (text) => {
      expect(msFromIso8601(text)).toBeNaN();
    },
  );

  it('keeps microseconds', () => {
    expect(msFromIso8601('1970-01-01T00:00:01.000250Z')).toBeCloseTo(1000.25, 9);
  });
});

describe('AckQueue', () => {
  it('gives each packet id back once, in order, when its position is reached', () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ commit: fc.integer({ min: 0, max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const queue = new AckQueue();
        const model: { position: number; id: number }[] = [];
        let position = 0;
        let id = 0;
        let committed = 0;
        for (const each of steps) {
          if ('add' in each) {
            position += each.add;
            id = (id % 65_535) + 1;
            queue.add(position, id, 0);
            model.push({ position, id });
          } else {
            committed += each.commit;
            const expected: number[] = [];
            while (model.length > 0 && model[0]!.position <= committed) expected.push(model.shift()!.id);
            const acks = queue.take(committed, () => undefined);
            const ids: number[] = [];
            for (let at = 0; at < (acks?.length ?? 0); at += 4) {
              expect(acks!.readUInt16BE(at)).toBe(0x4002);
              ids.push(acks!.readUInt16BE(at + 2));
            }
            expect(ids).toEqual(expected);
          }
          expect(queue.length).toBe(model.length);
          expect(queue.lastPosition).toBe(model.at(-1)?.position ?? -1);
        }
      }),
    );
  });
});

describe('RateBudget', () => {
  it('lets the configured rate through in the long run, and says how long to wait', () => {
    const budget = new RateBudget(100, 0);
    let taken = 0;
    let now = 0;
    while (now < 10_000) {
      budget.refill(now);
      while (budget.take()) taken += 1;
      expect(budget.waitMs).toBeGreaterThan(0);
      now += budget.waitMs;
    }
    expect(taken).toBeGreaterThanOrEqual(1000);
    expect(taken).toBeLessThanOrEqual(1026);
  });
});

describe('reconnectDelayMs', () => {
  it('grows to its ceiling, stays within it and never reaches zero', () => {
    expect(reconnectDelayMs(0, 1000, 30_000, 0.999999)).toBeLessThanOrEqual(1000);
    expect(reconnectDelayMs(3, 1000, 30_000, 0.999999)).toBeGreaterThan(7900);
    expect(reconnectDelayMs(500, 1000, 30_000, 0.999999)).toBeLessThanOrEqual(30_000);
    expect(reconnectDelayMs(5, 1000, 30_000, 0)).toBe(50);
    expect(reconnectDelayMs(0, 50, 100, 0.5)).toBe(50);
  });
});

describe('ReconnectPolicy', () => {
  /** Connections that last `lastsMs` each: the waits between them. */
  function waits(policy: ReconnectPolicy, lastsMs: number, n: number, takenOver = false): number[] {
    let nowMs = 0;
    return Array.from({ length: n }, () => {
      policy.established(nowMs);
      nowMs += lastsMs;
      const waitMs = policy.lost(nowMs, 0.5, takenOver);
      nowMs += waitMs;
      return waitMs;
    });
  }

  it('backs off from a broker that ends connections at once, and begins anew after one that lasted', () => {
    const policy = new ReconnectPolicy(1000, 30_000);
    expect(waits(policy, 100, 6)).toEqual([525, 1025, 2025, 4025, 8025, 15_025]);
    expect(policy.suspectsFight).toBe(true);
    expect(waits(policy, 10_000, 2)).toEqual([525, 525]);
    expect(policy.suspectsFight).toBe(false);
  });

  it('does not take a broker that is away for a fight', () => {
    const policy = new ReconnectPolicy(1000, 30_000);
    for (let i = 0; i < 5; i += 1) policy.lost(i, 0, false);
    expect(policy.suspectsFight).toBe(false);
  });

  it('waits seconds once another client took the id, and no longer than configured where it only looks like it', () => {
    expect(waits(new ReconnectPolicy(50, 100), 100, 2, true)).toEqual([3000, 3000]);
    expect(waits(new ReconnectPolicy(50, 100), 100, 4)).toEqual([50, 75, 100, 100]);
  });
});
