import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlowMeter, MIN_BACKLOG_POINTS_PER_S } from '../../../src/forward/flow-meter.ts';
import { RateMeter } from '../../../src/forward/rate-meter.ts';
import { suspectLines } from '../../../src/forward/rejection-hints.ts';
import { RequestSize } from '../../../src/forward/request-size.ts';
import { SinkHealth } from '../../../src/forward/sink-health.ts';
import { TokenBucket } from '../../../src/forward/token-bucket.ts';
import { MemoryOutbox, numberedPoints } from '../../support/memory-outbox.ts';

describe('TokenBucket', () => {
  it('lets through its rate over any long run, whatever the sizes of the requests', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 20, maxLength: 60 }), (sizes) => {
        const bucket = new TokenBucket(1000, 500, 0);
        let nowMs = 0;
        let sent = 0;
        for (const size of sizes) {
          nowMs += bucket.delayMs(nowMs);
          bucket.take(size, nowMs);
          sent += size;
        }
        nowMs += bucket.delayMs(nowMs);
        expect(sent).toBeLessThanOrEqual(500 + nowMs + 1);
        expect(sent).toBeGreaterThanOrEqual(nowMs - sizes.length);
      }),
    );
  });

  it('takes no debt from a clock that steps back', () => {
    const bucket = new TokenBucket(1000, 100, 1_000_000);
    bucket.take(200, 1_000_000);
    expect(bucket.delayMs(0)).toBe(100);
    expect(bucket.delayMs(100)).toBe(0);
  });
});

describe('RequestSize', () => {
  it('halves at a refusal and grows back to the maximum in steps', () => {
    const size = new RequestSize(1000);
    size.shrink(1000);
    expect(size.lines).toBe(500);
    size.grow(500);
    expect(size.lines).toBe(525);
    for (let i = 0; i < 20; i++) size.grow(size.lines);
    expect(size.lines).toBe(1000);
  });

  it('does not grow on account of small requests, and never falls below one line', () => {
    const size = new RequestSize(100);
    for (let i = 0; i < 20; i++) size.shrink(size.lines);
    expect(size.lines).toBe(1);
    size.shrink(1);
    expect(size.lines).toBe(1);
    size.grow(0);
    expect(size.lines).toBe(1);
  });
});

describe('RateMeter', () => {
  it('is unbiased from the first observation on and forgets old rates', () => {
    const meter = new RateMeter(10);
    expect(meter.perSecond).toBe(0);
    meter.observe(100, 1);
    expect(meter.perSecond).toBeCloseTo(100, 9);
    for (let i = 0; i < 100; i++) meter.observe(5, 1);
    expect(meter.perSecond).toBeCloseTo(5, 1);
  });
});

const BATCH = 10;

describe('FlowMeter', () => {
  it('drains the backlog at ten times what comes in', () => {
    const outbox = new MemoryOutbox();
    const flow = new FlowMeter(outbox, 'plant', 1000, 0);
    flow.observe(0);
    for (let s = 1; s <= 120; s++) {
      outbox.append(numberedPoints(2000));
      flow.observe(s * 1000);
    }
    flow.takenByBacklog(1000 + 20_000, 120_000);
    expect(flow.backlogDelayMs(120_000)).toBeCloseTo(1000, -1);
  });

  it.each([
    { name: 'at its own pace', rate: 500, serverPerS: 50_000 },
    { name: 'as quickly as a slow server lets', rate: 500, serverPerS: 1_500 },
  ])(
    'tells when an outage will be caught up with, $name, and does it at five times what comes in or more',
    ({ rate, serverPerS }) => {
      const outbox = new MemoryOutbox();
      const flow = new FlowMeter(outbox, 'plant', 1000, 0);
      const waiting: { readonly id: number; readonly atMs: number }[] = [];
      const longAgo = Date.now() + 3_600_000;
      let nowMs = 0;
      let backlogFreeAtMs = 0;
      let drained = 0;
      const settle = (batch: { readonly id: number }) => {
        outbox.settleOutbox('plant', batch.id, { delivered: BATCH, deadLettered: [] });
        flow.settled(BATCH);
      };
      /** A tenth of a second of plant, live lane and backlog lane. */
      const step = (isUp: boolean) => {
        nowMs += 100;
        for (let i = 0; i < rate / 10 / BATCH; i++) {
          const id = outbox.append(numberedPoints(BATCH));
          if (isUp) settle({ id });
          else waiting.push({ id, atMs: nowMs });
        }
        if (isUp)
          while (waiting.length > 0 && flow.backlogDelayMs(nowMs) === 0 && backlogFreeAtMs <= nowMs) {
            settle(waiting.shift()!);
            flow.takenByBacklog(BATCH, nowMs);
            drained += BATCH;
            backlogFreeAtMs = Math.max(backlogFreeAtMs, nowMs - 100) + (BATCH / serverPerS) * 1000;
          }
        flow.observe(nowMs);
      };
      while (nowMs < 120_000) step(false);
      expect(flow.etaS(longAgo)).toBeNull();
      flow.resumed();
      const fromMs = nowMs;
      const promised: { readonly atMs: number; readonly etaS: number }[] = [];
      while (waiting.length > 0) {
        step(true);
        const etaS = flow.etaS(longAgo);
        if (etaS !== null && etaS > 2 && nowMs - fromMs >= 3_000) promised.push({ atMs: nowMs, etaS });
      }
      const seconds = (nowMs - fromMs) / 1000;
      const produced = rate * seconds;
      if (serverPerS > 10 * rate) expect(drained).toBeGreaterThan(5 * produced * 0.75);
      expect(promised.length).toBeGreaterThan(3);
      for (const { atMs, etaS } of promised) {
        const tookS = (nowMs - atMs) / 1000;
        expect(Math.abs(etaS - tookS)).toBeLessThan(0.25 * tookS + 2);
      }
    },
  );

  it('has a floor for the pace, so that a quiet plant catches up as well', () => {
    const flow = new FlowMeter(new MemoryOutbox(), 'plant', 1000, 0);
    flow.takenByBacklog(1000 + MIN_BACKLOG_POINTS_PER_S, 0);
    expect(flow.backlogDelayMs(0)).toBe(1000);
  });

  it('knows when an old backlog will be gone, and that it will not be while nothing leaves', () => {
    const outbox = new MemoryOutbox();
    const ids = Array.from({ length: 100 }, () => outbox.append(numberedPoints(10)));
    const flow = new FlowMeter(outbox, 'plant', 1000, 0);
    const later = Date.now() + 60_000;
    flow.observe(0);
    expect(flow.etaS(later)).toBeNull();
    expect(flow.etaS(Date.now())).toBe(0);
    for (let s = 1; s <= 40; s++) {
      outbox.settleOutbox('plant', ids[s]!, { delivered: 10, deadLettered: [] });
      flow.settled(10);
      flow.observe(s * 1000);
    }
    expect(flow.etaS(later)).toBe(60);
  });
});

describe('SinkHealth', () => {
  const bounds = { retryMinMs: 1000, retryMaxMs: 60_000 };
  const network = { kind: 'retryLater', message: 'refused', afterMs: null, cause: 'network' } as const;

  it('waits longer with each failure and forgets them with an answer', () => {
    const health = new SinkHealth(bounds);
    for (const expected of [500, 1000, 2000, 4000]) {
      health.failed(network, health.epoch, 0, 0.5);
      expect(health.nextAttemptMs).toBe(expected);
    }
    health.answered(health.epoch);
    expect(health.state).toBe('ok');
    health.failed(network, health.epoch, 0, 0.5);
    expect(health.nextAttemptMs).toBe(500);
  });

  it('does not take the success of an older request for the end of a pause the server asked for', () => {
    const health = new SinkHealth(bounds);
    const older = health.epoch;
    health.failed({ ...network, afterMs: 30_000, cause: 'answer' }, health.epoch, 0, 0);
    health.answered(older);
    expect(health.state).toBe('retrying');
    expect(health.nextAttemptMs).toBe(30_000);
  });

  it('counts two requests that failed together once, and keeps the longer pause', () => {
    const health = new SinkHealth(bounds);
    const epoch = health.epoch;
    health.failed({ ...network, afterMs: 30_000, cause: 'answer' }, epoch, 0, 0);
    health.failed(network, epoch, 0, 0.5);
    expect(health.nextAttemptMs).toBe(30_000);
    health.failed(network, health.epoch, 0, 0.5);
    expect(health.nextAttemptMs).toBe(1000);
  });
});

describe('suspectLines', () => {
  const conflict =
    'partial write: field type conflict: input field "a b" on measurement "my m" is type string, already exists as type float dropped=1';

  it('points at lines of the named measurement whose named field has the refused type', () => {
    const lines = [
      'my\\ m,t=1 a\\ b="x" 1',
      'my\\ m,t=1 a\\ b=1 1',
      'my\\ m2,t=1 a\\ b="x" 1',
      'my\\ m c=1,a\\ b="y" 1',
      'my\\ m xa\\ b="y" 1',
    ];
    expect(suspectLines(conflict, lines)).toEqual([0, 3]);
  });

  it('points at lines the server quotes', () => {
    expect(suspectLines("unable to parse 'm v=1 2': invalid", ['m v=1 1', 'm v=1 2'])).toEqual([1]);
  });

  it('says nothing about messages it does not know', () => {
    expect(suspectLines('no', ['m v=1 1'])).toEqual([]);
  });
});
