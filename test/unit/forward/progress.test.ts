/** What a forwarder counts as progress: waiting for something that ends, and nothing else. */

import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/domain/clock.ts';
import { Forwarder } from '../../../src/forward/forwarder.ts';
import type { PointWriter, WriteOutcome } from '../../../src/forward/write-outcome.ts';
import { MAX_FORWARDER_OVERDUE_MS, stuckStages } from '../../../src/runtime/progress.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import { sinkConfig } from '../../support/forwarding.ts';
import { MemoryOutbox, numberedPoints } from '../../support/memory-outbox.ts';

/** Time that passes when the test says so. */
class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; callback: () => void; everyMs: number }[] = [];
  now = () => this.#nowMs;
  monotonicMs = () => this.#nowMs;

  after(delayMs: number, callback: () => void) {
    return this.#add(delayMs, callback, 0);
  }

  every(intervalMs: number, callback: () => void) {
    return this.#add(intervalMs, callback, intervalMs);
  }

  nextTurn(callback: () => void): void {
    setImmediate(callback);
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#nowMs = next.atMs;
      if (next.everyMs > 0) next.atMs += next.everyMs;
      else this.#timers = this.#timers.filter((timer) => timer !== next);
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  #add(delayMs: number, callback: () => void, everyMs: number) {
    const timer = { atMs: this.#nowMs + Math.max(1, delayMs), callback, everyMs };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
}

function started(write: () => Promise<WriteOutcome>): { forwarder: Forwarder; clock: ManualClock } {
  const clock = new ManualClock();
  const outbox = new MemoryOutbox();
  outbox.append(numberedPoints(3));
  const writer: PointWriter = { write, ping: () => Promise.resolve(false), close: () => undefined };
  const config = sinkConfig({ type: 'line-protocol', url: 'http://127.0.0.1:1', retryMaxMs: 60_000 });
  const forwarder = new Forwarder({
    sink: 'plant',
    config,
    outbox,
    writer,
    logger: SILENT,
    clock,
    random: () => 1,
  });
  forwarder.start();
  return { forwarder, clock };
}

const away: WriteOutcome = { kind: 'retryLater', message: 'away', afterMs: null, cause: 'network' };

describe('a forwarder', () => {
  it('that is idle, or in backoff through a quarter of an hour of failures, makes progress', async () => {
    for (const outcome of [{ kind: 'accepted' } as const, away]) {
      const { forwarder, clock } = started(() => Promise.resolve(outcome));
      for (let minute = 0; minute < 15; minute += 1) {
        await clock.advance(60_000);
        expect(forwarder.overdueMs).toBeLessThan(1_000);
      }
    }
  });

  it('waits for an answer as long as the request may take, and is stuck when the request never ends', async () => {
    const { forwarder, clock } = started(() => new Promise(() => undefined));
    const isStuck = () => stuckStages([{ stage: 'forwarder plant', silentMs: forwarder.overdueMs }], 0);
    await clock.advance(5_000);
    expect(forwarder.overdueMs).toBe(0);
    await clock.advance(MAX_FORWARDER_OVERDUE_MS - 1_000);
    expect(isStuck()).toEqual([]);
    await clock.advance(2_000);
    expect(isStuck()).toEqual(['forwarder plant']);
  });
});

describe('a stage', () => {
  it('is stuck once its silence and the age of the news about it exceed what it is allowed', () => {
    const silent = (silentMs: number) => [{ stage: 'writer', silentMs }];
    expect(stuckStages(silent(9_000), 500)).toEqual([]);
    expect(stuckStages(silent(9_000), 1_500)).toEqual(['writer']);
  });
});
