/** The whole path over a real store: what a full disk, a slow processor and a crash between any two steps leave behind. */

import { afterEach, describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.ts';
import { GatewayError } from '../../../src/errors.ts';
import { FeatureExtractor } from '../../../src/features/extractor.ts';
import { HealthMonitor } from '../../../src/health/health-monitor.ts';
import { Assessor } from '../../../src/inference/assessor.ts';
import { Pipeline } from '../../../src/pipeline.ts';
import { createRing, RingReader, RingWriter } from '../../../src/runtime/record-ring.ts';
import type { CommitUnit, Store } from '../../../src/store/store.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';
import { Windower } from '../../../src/window/windower.ts';
import { type StoreFolder, storeFolder } from '../../support/store.ts';

/** Samples of one second, one window. */
const BLOCK = 25_600;
const T0 = 1_767_225_600_000;

function configOf(
  window: Record<string, number>,
  channel: Record<string, unknown> = {},
  store: Record<string, unknown> = {},
) {
  return configSchema.parse({
    store,
    machineClasses: {
      pump: {
        topics: ['p/{machine}/{channel}'],
        channels: { a: channel },
        window: { sizeMs: 1_000, outOfOrderMs: 0, ...window },
        health: { raiseCount: 3, raiseOutOf: 5, clearCount: 5 },
      },
    },
  });
}

function failAt(extractor: FeatureExtractor, failAtMs: () => number): void {
  const extract = extractor.extract.bind(extractor);
  extractor.extract = (window, state) => {
    if (window.startMs - T0 === failAtMs()) throw new RangeError('no such bin');
    return extract(window, state);
  };
}

/** One life of the pipeline thread, step by step; a kill is `close` without anything before. */
class Life {
  readonly store: Store;
  readonly windower: Windower;
  readonly pipeline: Pipeline;
  /** Journal batches before this may go; 0 keeps all. */
  trimBelowBatch = 0;
  /** The disk takes no new data. */
  diskFull = false;
  /** Start of the window whose features throw, after T0. */
  failAtMs = Number.NaN;
  readonly units: CommitUnit[] = [];
  readonly #writer: RingWriter;
  readonly #reader: RingReader;

  /** Arrival clock, ms. */
  nowMs = 0;

  constructor(folder: StoreFolder, config: ReturnType<typeof configOf>) {
    const classes = config.machineClasses;
    this.store = folder.open({ maxBytes: config.store.maxBytes });
    const commit = this.store.commit.bind(this.store);
    this.store.commit = (unit) => {
      if (this.diskFull && unit.journal !== null) throw new GatewayError('MW_STORE_WRITE', 'no room');
      commit(unit);
      this.units.push(unit);
    };
    this.windower = new Windower(classes);
    const shared = createRing(1_048_576);
    this.#writer = new RingWriter(shared);
    this.#reader = new RingReader(shared);
    const extractors = new Map(Object.entries(classes).map(([name, c]) => [name, new FeatureExtractor(c)]));
    for (const extractor of extractors.values()) failAt(extractor, () => this.failAtMs);
    this.pipeline = new Pipeline({
      classes,
      windower: this.windower,
      extractors,
      assessor: new Assessor({
        classes,
        modelsDir: 'models',
        config: config.inference,
        describeFeatures: () => [],
        logger: SILENT,
        monotonicMs: () => 0,
      }),
      health: new HealthMonitor(classes),
      store: this.store,
      history: null,
      logger: SILENT,
      now: () => T0,
      monotonicMs: () => this.nowMs,
    });
    this.pipeline.recover();
    if (this.store.channels().length === 0)
      this.#writer.channel({ index: 0, machineClass: 'pump', machine: 'm', channel: 'a' });
  }

  send(...timesMs: readonly number[]): void {
    for (const at of timesMs) this.#writer.scalar(0, 0, 0, 0, T0 + at, at);
  }

  sendBlock(atMs: number): void {
    this.#writer.waveform(0, 0, 0, 0, T0 + atMs, BLOCK, new Float32Array(BLOCK).fill(Math.sin(atMs)));
  }

  /** What the thread does at each tick, without computing. True if what was sent is acknowledged. */
  tick(): boolean {
    if (this.pipeline.hasRoom) {
      const spans = this.#reader.peek(4_194_304);
      this.pipeline.take(spans);
      this.#reader.release(spans.reduce((sum, { from, to }) => sum + to - from, 0));
    } else this.pipeline.wait();
    try {
      this.pipeline.commit(this.trimBelowBatch);
      this.expectBalance();
      return true;
    } catch (error) {
      expect((error as GatewayError).code).toBe('MW_STORE_WRITE');
      return false;
    }
  }

  compute(): void {
    this.pipeline.compute(Number.POSITIVE_INFINITY);
    this.expectBalance();
  }

  /** What the account expects is what the path holds, wherever the samples are. */
  expectBalance(): void {
    const unsettled = this.pipeline.unsettledSamples;
    if (unsettled !== null) expect(this.store.checkLedger(unsettled)).toMatchObject({ balanced: true });
  }

  /** Starts of the windows whose results were committed in this life, in order, with their revisions. */
  get windows(): string[] {
    return this.units
      .flatMap(({ results }) => results.flatMap(({ points }) => points))
      .map(({ timeMs, fields }) => `${timeMs - T0} revision ${fields['revision']}`);
  }
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

function lives(config: ReturnType<typeof configOf>): () => Life {
  const folder = storeFolder();
  let last: Life | null = null;
  cleanups.push(() => {
    last?.store.close();
    folder.remove();
  });
  return () => {
    last?.store.close();
    last = new Life(folder, config);
    return last;
  };
}

describe('a full disk', () => {
  it('and a crash while results went ahead of the records they came from leave an account that balances', () => {
    const next = lives(configOf({}));
    let life = next();
    life.send(100, 200);
    expect(life.tick()).toBe(true);
    life.diskFull = true;
    life.send(300, 400, 1_500);
    expect(life.tick()).toBe(false);
    life.compute();
    // The window closes by records that are not durable; its result is let through to make room.
    expect(life.tick()).toBe(false);
    expect(life.windows).toEqual(['0 revision 0']);

    life = next();
    expect(life.store.checkLedger(life.windower.openSamples())).toMatchObject({ balanced: true });
    // Nobody acknowledged them, so they come again.
    life.send(300, 400, 1_500);
    expect(life.tick()).toBe(true);
    life.send(2_500);
    life.tick();
    life.compute();
    life.tick();
    expect(life.windows).toEqual(['1000 revision 0']);
    expect(life.store.checkLedger(life.windower.openSamples())).toMatchObject({ balanced: true });
    expect(life.store.ledger().samples.open).toBe(1);
  });
});

describe('open windows larger than their share of the store', () => {
  it('close once the senders have waited, and intake goes on', () => {
    const life = lives(configOf({ sizeMs: 86_400_000 }, {}, { maxBytes: 1_048_576 }))();
    let sent = 0;
    const sendSome = () => {
      life.send(...Array.from({ length: 1000 }, (_, i) => sent + i));
      sent += 1000;
      return life.tick();
    };
    while (sendSome()) expect(sent).toBeLessThan(100_000);
    expect(life.store.status).toBe('full');
    for (let waited = 0; !life.tick(); waited += 1) {
      expect(waited).toBeLessThan(200);
      life.nowMs += 1_000;
      life.compute();
      life.trimBelowBatch = Math.min(life.windower.oldestBatchNeeded(), life.store.nextBatchId());
    }
    expect(life.store.status).toBe('ok');
    expect(sendSome()).toBe(true);
    const { accepted, windowed, late, evicted } = life.store.ledger().samples;
    expect(accepted).toBe(sent);
    // Nothing acknowledged before is lost; the rest of the window came too late for it, and is counted so.
    expect([windowed, late, evicted]).toEqual([sent - 1000, 1000, 0]);
  });
});

describe('a full disk at the first sight of a machine', () => {
  it('does not let its windows come twice after a crash', () => {
    const next = lives(configOf({}));
    let life = next();
    life.diskFull = true;
    life.send(100, 200, 1_500);
    expect(life.tick()).toBe(false);
    life.compute();
    expect(life.tick()).toBe(false);
    expect(life.windows).toEqual(['0 revision 0']);

    life = next();
    life.send(100, 200, 1_500, 2_500);
    expect(life.tick()).toBe(true);
    life.compute();
    life.tick();
    expect(life.windows).toEqual(['1000 revision 0']);
    expect(life.store.ledger().samples).toMatchObject({ windowed: 3, late: 2 });
    expect(life.store.checkLedger(life.windower.openSamples())).toMatchObject({ balanced: true });
  });
});

describe('computing that is slower than the sensors', () => {
  it('makes the senders wait instead of gathering closed windows without bound', { timeout: 60_000 }, () => {
    const waveform = { kind: 'waveform', unit: 'g', sampleRateHz: 25_600, features: ['vib.basic'] };
    const life = lives(configOf({}, waveform))();
    let sent = 0;
    while (life.pipeline.hasRoom && sent < 1_000 * BLOCK) {
      life.sendBlock((sent / BLOCK) * 1_000);
      sent += BLOCK;
      life.tick();
    }
    expect(life.pipeline.hasRoom).toBe(false);
    while (life.pipeline.compute(Number.POSITIVE_INFINITY) === 'now') life.tick();
    life.compute();
    life.tick();
    expect(life.pipeline.hasRoom).toBe(true);
    const { accepted, windowed, open } = life.store.ledger().samples;
    expect([accepted, windowed + open]).toEqual([sent, sent]);
  });
});

describe('a crash while late samples are still allowed', () => {
  const next = () => lives(configOf({ allowedLatenessMs: 5_000 }));

  function firstLife(life: Life): void {
    life.send(100, 1_100, 2_100);
    life.tick();
    life.compute();
    life.tick();
    expect(life.windows).toEqual(['0 revision 0', '1000 revision 0']);
  }

  it('does not bring durable windows back: they have voted and counted already', () => {
    const start = next();
    firstLife(start());
    const life = start();
    life.send(3_100);
    life.tick();
    life.compute();
    life.tick();
    expect(life.windows).toEqual(['2000 revision 0']);
  });

  it('brings them back as revisions if a late sample was acknowledged and not computed', () => {
    const start = next();
    const before = start();
    firstLife(before);
    before.send(150);
    expect(before.tick()).toBe(true);
    const life = start();
    life.send(3_100);
    life.tick();
    life.compute();
    life.tick();
    expect([...life.windows].sort()).toEqual(['0 revision 1', '1000 revision 1', '2000 revision 0']);
    expect(life.store.checkLedger(life.windower.openSamples())).toMatchObject({ balanced: true });
  });
});

describe('a window that throws in its features', () => {
  it('goes to the dead letters and is settled as quarantined; the others, and the next life, go on', () => {
    const begin = lives(configOf({}));
    const first = begin();
    first.failAtMs = 1_000;
    first.send(500, 1_500, 1_600, 2_500, 3_500);
    first.tick();
    first.compute();
    first.tick();
    expect(first.windows).toEqual(['0 revision 0', '2000 revision 0']);
    const letters = first.store.deadLetters({ reason: 'window_failed' });
    expect(letters).toMatchObject([{ source: 'window:pump/m', detail: 'no such bin', receivedMs: T0 }]);
    expect(JSON.parse(Buffer.from(letters[0]!.payload).toString())).toMatchObject({
      startMs: T0 + 1_000,
      slices: [{ channel: 'a', samples: 2, values: [1_500, 1_600] }],
    });
    const { samples } = first.store.ledger();
    expect(samples).toMatchObject({ accepted: 5, windowed: 2, quarantined: 2, open: 1 });
    first.store.close();
    const second = begin();
    second.failAtMs = 1_000;
    second.send(4_500);
    second.tick();
    second.compute();
    second.tick();
    expect(second.windows).toEqual(['3000 revision 0']);
    expect(second.store.deadLetters({ reason: 'window_failed' })).toHaveLength(1);
    second.store.close();
  });
});
