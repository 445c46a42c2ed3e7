/** Every rule of the gateway's own time of day, and what holds whatever the system clock does. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ClockEvent,
  type ClockLook,
  GatewayClock,
} from '../../../../src/runtime/clock/gateway-clock.ts';

const RELEASED_MS = Date.UTC(2025, 0, 1);
const KNOWN_MS = Date.UTC(2026, 5, 1, 12);
const HOUR_MS = 3_600_000;
const YEAR_MS = 366 * 24 * HOUR_MS;

/** A device under test: real time runs, the system clock shows real time plus an error. */
class Device {
  monotonicMs = 5_000;
  readonly realAtBootMs: number;
  errorMs = 0;
  synchronized = false;
  awaitsSync = false;
  readonly clock: GatewayClock;
  readonly events: ClockEvent[] = [];

  constructor(
    rules: Partial<ConstructorParameters<typeof GatewayClock>[0]> = {},
    realMs = KNOWN_MS + HOUR_MS,
  ) {
    this.realAtBootMs = realMs - this.monotonicMs;
    this.clock = new GatewayClock({
      ...{ releasedMs: RELEASED_MS, lastKnownMs: KNOWN_MS, trust: 'auto', maxHoldMs: 600_000 },
      ...{ stepMs: 1000, confirmStepMs: 60_000, ...rules },
    });
  }

  get realMs(): number {
    return this.realAtBootMs + this.monotonicMs;
  }

  /** Of the gateway. */
  get nowMs(): number {
    return this.clock.nowMs(this.monotonicMs);
  }

  look(): ClockLook {
    const { synchronized, awaitsSync, monotonicMs, realMs, errorMs } = this;
    return { synchronized, awaitsSync, monotonicMs, wallMs: realMs + errorMs };
  }

  start(errorMs = 0): this {
    this.errorMs = errorMs;
    this.clock.start(this.look());
    return this;
  }

  run(ms: number): this {
    for (const untilMs = this.monotonicMs + ms; this.monotonicMs < untilMs; ) {
      this.monotonicMs += 250;
      this.events.push(...this.clock.observe(this.look()));
    }
    return this;
  }

  kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }
}

const in1970 = (device: Device) => device.start(20_000 - device.realMs);

describe('the start', () => {
  it('believes a plausible clock, confirmed or not', () => {
    const plain = new Device().start();
    expect([plain.clock.state, plain.clock.isSet, plain.nowMs]).toEqual(['provisional', true, plain.realMs]);
    const device = new Device();
    device.synchronized = true;
    expect(device.start().clock.state).toBe('synced');
    expect(device.clock.reason).toBe('');
  });

  it.each([
    ['before this version was made', 20_000 - (KNOWN_MS + HOUR_MS), 0, false],
    ['years before what is stored', (-2 * YEAR_MS) / 2, KNOWN_MS, false],
    ['plausible, but the time service is not done', -HOUR_MS / 2, 0, true],
  ])('does not believe a clock that is %s', (_name, errorMs, lastKnownMs, awaitsSync) => {
    const device = new Device({ lastKnownMs });
    device.awaitsSync = awaitsSync;
    device.start(errorMs);
    expect([device.clock.state, device.clock.isSet, device.clock.holding]).toEqual(['unsynced', false, true]);
    expect(device.clock.reason).not.toBe('');
    expect(device.nowMs).toBeGreaterThanOrEqual(device.clock.floorMs);
  });

  it('believes any clock after the release where it is told to, or where the time service vouches for it', () => {
    expect(new Device({ trust: 'system' }).start(-YEAR_MS / 2).clock.state).toBe('synced');
    const device = new Device();
    device.synchronized = true;
    expect(device.start(-YEAR_MS / 2).clock.state).toBe('synced');
    expect(device.nowMs).toBe(device.realMs - YEAR_MS / 2);
  });

  it('goes on from the newest time it knew where the clock is a little behind it, and lets the clock catch up', () => {
    const device = new Device().start(-1.5 * HOUR_MS);
    expect(device.nowMs).toBe(KNOWN_MS);
    device.run(5.2 * HOUR_MS);
    expect(device.nowMs).toBe(device.realMs - 1.5 * HOUR_MS);
  });
});

describe('a clock that is not set', () => {
  it('is corrected in one go once the system clock is, and says by how much', () => {
    const device = in1970(new Device());
    device.run(30_000);
    const before = device.nowMs;
    const { offsetMs } = device.clock;
    device.errorMs = 0;
    device.run(250);
    expect(device.events).toEqual([{ kind: 'set', fromMs: before + 250, toMs: device.realMs }]);
    expect(device.nowMs).toBe(device.realMs);
    expect(device.clock.isSet).toBe(true);
    // What was stamped with the time since boot gets the right time by the new offset.
    expect(35_000 + device.clock.offsetMs).toBe(device.realMs - 250);
    expect(device.clock.offsetMs).not.toBe(offsetMs);
  });

  it('waits for the time service, and believes whoever sets the clock by hand', () => {
    const served = new Device();
    served.awaitsSync = true;
    served.start(-HOUR_MS / 2).run(60_000);
    expect(served.kinds()).toEqual([]);
    Object.assign(served, { synchronized: true, awaitsSync: false, errorMs: 0 });
    served.run(250);
    expect([served.kinds(), served.clock.state]).toEqual([['set'], 'synced']);
    const byHand = new Device();
    byHand.awaitsSync = true;
    byHand.start(-HOUR_MS / 2).run(1000);
    byHand.errorMs = 0;
    byHand.run(250);
    expect([byHand.kinds(), byHand.clock.state]).toEqual([['set'], 'provisional']);
  });

  it('holds nothing for longer than it may, asks for a person, and is still corrected afterwards', () => {
    const device = in1970(new Device({ maxHoldMs: 10_000 }));
    device.run(10_000);
    expect(device.kinds()).toEqual(['hold_ended']);
    const { clock } = device;
    expect([clock.holding, clock.isSet, clock.state, clock.needsAttention]).toEqual([
      false,
      false,
      'provisional',
      true,
    ]);
    expect(device.nowMs).toBe(KNOWN_MS + 10_000);
    device.errorMs = 0;
    device.run(250);
    expect([device.kinds().at(-1), device.nowMs, clock.needsAttention]).toEqual([
      'set',
      device.realMs,
      false,
    ]);
  });

  it('ends holding at once when there is no room for more', () => {
    const device = in1970(new Device());
    expect(device.clock.endHold().map(({ kind }) => kind)).toEqual(['hold_ended']);
    expect(device.clock.endHold()).toEqual([]);
  });

  it('is not set by a time that is as impossible as the one before', () => {
    const device = in1970(new Device());
    device.errorMs += 5 * YEAR_MS;
    device.run(5_000);
    expect([device.kinds(), device.clock.holding]).toEqual([[], true]);
  });
});

describe('a step of the system clock', () => {
  it.each([HOUR_MS, -HOUR_MS, 10 * YEAR_MS, -10 * YEAR_MS])('by %i ms does not move the time', (errorMs) => {
    const device = new Device().start().run(1000);
    device.errorMs = errorMs;
    device.run(30_000);
    expect([device.kinds(), device.nowMs]).toEqual([['step'], device.realMs]);
    expect(device.events[0]).toMatchObject({ toMs: device.events[0]!.fromMs + errorMs });
    expect(device.clock.state).toBe('provisional');
    device.errorMs = 0;
    device.run(500);
    expect([device.kinds(), device.nowMs]).toEqual([['step', 'step_undone'], device.realMs]);
  });

  it('forwards is followed once it has lasted', () => {
    const device = new Device().start();
    device.errorMs = HOUR_MS;
    device.run(60_500);
    expect([device.kinds(), device.nowMs]).toEqual([['step', 'step_followed'], device.realMs + HOUR_MS]);
  });

  it('backwards is followed by running slower, never by going back', () => {
    const device = new Device().start();
    device.errorMs = -600_000;
    device.run(60_500);
    expect(device.kinds()).toEqual(['step', 'step_followed']);
    let last = device.nowMs;
    for (let i = 0; i < 110; i += 1) {
      device.run(60_000);
      expect(device.nowMs - last).toBeGreaterThanOrEqual(53_000);
      last = device.nowMs;
    }
    expect(device.nowMs).toBe(device.realMs - 600_000);
  });

  it.each([
    ['ten years ahead', 10 * YEAR_MS],
    ['before what is stored', -2 * YEAR_MS],
  ])('to %s is never followed, and asks for a person', (_name, errorMs) => {
    const device = new Device().start();
    device.errorMs = errorMs;
    device.run(600_000);
    expect(device.kinds()).toEqual(['step', 'step_refused']);
    expect([device.nowMs, device.clock.needsAttention]).toEqual([device.realMs, true]);
    device.errorMs = 0;
    device.run(250);
    expect([device.kinds().at(-1), device.clock.needsAttention]).toEqual(['step_undone', false]);
  });

  it('starts its time anew when the clock steps on', () => {
    const device = new Device().start();
    for (let i = 1; i <= 10; i += 1) {
      device.errorMs = i * HOUR_MS;
      device.run(30_000);
    }
    expect([new Set(device.kinds()), device.nowMs]).toEqual([new Set(['step']), device.realMs]);
  });

  it('is no step where the time service trims the clock', () => {
    const device = new Device().start();
    for (let i = 0; i < 100; i += 1) {
      device.errorMs += i % 3 === 0 ? -40 : 25;
      device.run(250);
    }
    expect(device.kinds()).toEqual([]);
    expect(Math.abs(device.nowMs - device.realMs - device.errorMs)).toBeLessThanOrEqual(40);
  });
});

it('never goes back and never leaps by more than a step that was followed, whatever the system clock shows', () => {
  const jump = fc.record({
    errorMs: fc.oneof(
      fc.integer({ min: -HOUR_MS, max: HOUR_MS }),
      fc.integer({ min: -20 * YEAR_MS, max: 20 * YEAR_MS }),
    ),
    forMs: fc.integer({ min: 250, max: 90_000 }),
  });
  fc.assert(
    fc.property(fc.array(jump, { minLength: 1, maxLength: 12 }), (jumps) => {
      const device = new Device().start();
      let last = device.nowMs;
      const leaps: number[] = [];
      for (const { errorMs, forMs } of jumps) {
        device.errorMs = errorMs;
        for (let ms = 0; ms < forMs; ms += 250) {
          const before = device.events.length;
          device.run(250);
          const followed = device.events.slice(before).some(({ kind }) => kind === 'step_followed');
          const passedMs = device.nowMs - last;
          if (passedMs < 224 || (!followed && passedMs > 250 + 1000 + 1)) leaps.push(passedMs);
          last = device.nowMs;
        }
      }
      expect(leaps).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
