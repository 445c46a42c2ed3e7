/** A source under test with a real ring and a committer that commits when the test says so. */

import { type ConfigInput, configSchema, type IngestConfig } from '../../src/config/schema.ts';
import type { DeadLetter } from '../../src/domain/dead-letter.ts';
import type { StampClock } from '../../src/domain/gateway-clock.ts';
import type { ChannelRef } from '../../src/domain/machine.ts';
import { RecordKind } from '../../src/domain/record.ts';
import { decodeChannel, decodeDeadLetter } from '../../src/domain/record-codec.ts';
import type { IngestContext } from '../../src/ingest/source.ts';
import { TopicRouter } from '../../src/ingest/topic-router.ts';
import { createRing, RingReader, RingWriter } from '../../src/runtime/record-ring.ts';
import { type Logger, SILENT } from '../../src/telemetry/logger.ts';
import type { MetricSample } from '../../src/telemetry/metrics.ts';

export interface SeenScalar {
  readonly channel: number;
  readonly flags: number;
  readonly quality: number;
  readonly sequence: number;
  readonly timeMs: number;
  readonly value: number;
}

export interface SeenWaveform {
  readonly channel: number;
  readonly flags: number;
  readonly quality: number;
  readonly sequence: number;
  readonly t0Ms: number;
  readonly sampleRateHz: number;
  readonly values: number[];
}

/** Everything read from the ring, in order. */
export class SeenRecords {
  readonly scalars: SeenScalar[] = [];
  readonly waveforms: SeenWaveform[] = [];
  readonly channels: ChannelRef[] = [];
  readonly deadLetters: DeadLetter[] = [];
}

/** The pipeline's end of the ring. */
export class TestCommitter {
  readonly seen = new SeenRecords();
  requests = 0;
  commits = 0;
  readonly #reader: RingReader;
  readonly #keep: boolean;
  #position = 0;

  /** @param keep whether records are kept for inspection; load tests don't */
  constructor(ring: SharedArrayBuffer, keep = true) {
    this.#reader = new RingReader(ring);
    this.#keep = keep;
  }

  /** Reads what the ring holds; returns the position after it. */
  drain(): number {
    const spans = this.#reader.peek(Number.MAX_SAFE_INTEGER);
    let bytes = 0;
    for (const { views, from, to } of spans) {
      bytes += to - from;
      for (let at = from; this.#keep && at < to; at += views.u32[at >> 2]!) {
        const { seen } = this;
        const common = {
          channel: views.u32[(at + 8) >> 2]!,
          flags: views.u16[(at + 6) >> 1]!,
          quality: views.u8[at + 5]!,
          sequence: views.u32[(at + 12) >> 2]!,
        };
        const kind = views.u8[at + 4];
        if (kind === RecordKind.SCALAR) {
          seen.scalars.push({
            ...common,
            timeMs: views.f64[(at + 16) >> 3]!,
            value: views.f64[(at + 24) >> 3]!,
          });
        } else if (kind === RecordKind.WAVEFORM) {
          const first = (at + 40) >> 2;
          seen.waveforms.push({
            ...common,
            t0Ms: views.f64[(at + 16) >> 3]!,
            sampleRateHz: views.f64[(at + 24) >> 3]!,
            values: [...views.f32.subarray(first, first + views.u32[(at + 32) >> 2]!)],
          });
        } else if (kind === RecordKind.CHANNEL) seen.channels.push(decodeChannel(views.u8, at));
        else if (kind === RecordKind.DEAD_LETTER) seen.deadLetters.push(decodeDeadLetter(views.u8, at));
      }
    }
    if (bytes > 0) this.#position = this.#reader.release(bytes);
    this.commits += 1;
    return this.#position;
  }
}

/** A full configuration with one class `machines` on plant/{machine}/{channel} unless told otherwise. */
export function testConfig(
  machineClasses: ConfigInput['machineClasses'] = {
    machines: { topics: ['plant/{machine}/{channel}'], channels: { '*': {} } },
  },
  ingest: ConfigInput['ingest'] = {},
) {
  return configSchema.parse({
    machineClasses,
    ingest: {
      clockGuard: { maxPastMs: 0 },
      ...ingest,
      embedded: { port: 0, allowAnonymous: true, ...ingest?.embedded },
    },
  });
}

/** A gateway that knows the time of day. */
export const CLOCK_SET: StampClock = { isSet: true, holding: false, offsetMs: 0, floorMs: 0 };

export interface Harness {
  readonly context: IngestContext;
  readonly committer: TestCommitter;
  readonly ingest: IngestConfig;
  readonly router: TopicRouter;
  readonly sink: RingWriter;
}

/** Ring, router and committer of a configuration. */
export function harness(
  config: ReturnType<typeof testConfig>,
  options: {
    known?: ChannelRef[];
    keep?: boolean;
    now?: () => number;
    clock?: StampClock;
    logger?: Logger;
    onRequest?: () => void;
  } = {},
): Harness {
  const ring = createRing(config.ingest.ringBytes);
  const committer = new TestCommitter(ring, options.keep);
  const sink = new RingWriter(ring);
  const { maxChannels } = config.ingest.limits;
  const router = new TopicRouter(config.machineClasses, options.known ?? [], { maxChannels });
  return {
    committer,
    ingest: config.ingest,
    router,
    sink,
    context: {
      sink,
      router,
      now: options.now ?? Date.now,
      clock: options.clock ?? CLOCK_SET,
      monotonicMs: () => performance.now(),
      logger: options.logger ?? SILENT,
      requestCommit: () => {
        committer.requests += 1;
        options.onRequest?.();
      },
    },
  };
}

/** Value of one metric series, 0 if absent. */
export function metric(samples: readonly MetricSample[], name: string, label?: string): number {
  const found = samples.find(
    (sample) =>
      sample.name === name && (label === undefined || Object.values(sample.labels ?? {}).includes(label)),
  );
  return found?.value ?? 0;
}
