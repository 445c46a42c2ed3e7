/** A seed enters, everything that will be different in its run leaves: plant, configuration, faults. */

import { type Config, type ConfigInput, configSchema } from '../../../src/config/schema.ts';
import { STORMS, type Weather } from './database.ts';
import type { Ending, Refusal } from './medium.ts';
import { Random } from './random.ts';

export interface ChannelPlan {
  readonly machineClass: 'steady' | 'hasty';
  readonly machine: string;
  readonly channel: string;
  readonly periodMs: number;
  readonly topic: string;
}

export interface ClientPlan {
  readonly name: string;
  readonly channels: readonly ChannelPlan[];
  readonly qos: 0 | 1;
  readonly maxInFlight: number;
  /** How far its clock is off; a multiple of nothing in particular. */
  readonly clockErrorMs: number;
  /** Longest time a message is overtaken by, ms; within what its class allows for steady machines. */
  readonly disorderMs: number;
  readonly repeatChance: number;
  readonly gapChance: number;
  /** Kept back for seconds: will be late. */
  readonly lateChance: number;
  readonly malformedChance: number;
}

export type Fault =
  | { readonly kind: 'kill' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'ending'; readonly ending: Ending; readonly thenDuringStart: number | null }
  | { readonly kind: 'refusal'; readonly refusal: Refusal; readonly forMs: number }
  | { readonly kind: 'slow'; readonly commitMs: number; readonly forMs: number }
  | { readonly kind: 'storm'; readonly sink: number; readonly weather: Weather; readonly forMs: number }
  | { readonly kind: 'wall'; readonly errorMs: number }
  | { readonly kind: 'drop'; readonly client: number; readonly forMs: number }
  | { readonly kind: 'silence'; readonly client: number; readonly forMs: number }
  | { readonly kind: 'checkpoint' };

export interface Plan {
  readonly seed: number;
  readonly config: Config;
  readonly clients: readonly ClientPlan[];
  readonly faults: readonly { readonly atMs: number; readonly fault: Fault }[];
  /** Faults end and sensors stop after this. */
  readonly durationMs: number;
  readonly lookCostMs: number;
  readonly refusesEvery: number;
  /** A time service is at work that has not set the clock yet, while it is wrong. */
  readonly awaitsSync: boolean;
}

const HOUR_MS = 3_600_000;
const STEADY_IDLE_MS = 30_000;

/** @param faults keeps only the first so many, to find out which one matters */
export function planOf(seed: number, faults = Number.POSITIVE_INFINITY): Plan {
  const random = new Random(seed, 1);
  const steady = windowPlan(random, [0, 200, 1_000]);
  const hasty = windowPlan(random, [0, 200]);
  const sinks = random.chance(0.2) ? 2 : 1;
  const config = configSchema.parse({
    machineClasses: {
      steady: classInput('s', { ...steady.window, idleTimeoutMs: STEADY_IDLE_MS }, random.chance(0.3)),
      hasty: classInput(
        'h',
        {
          ...hasty.window,
          idleTimeoutMs: random.pick([1_000, 3_000, 10_000]),
          allowedLatenessMs: random.pick([0, 0, 2_000, 10_000]),
        },
        false,
      ),
    },
    ingest: {
      ringBytes: 65_536,
      deadLetterPayloadBytes: 16_384,
      limits: { maxUnackedPerConnection: random.pick([20, 200]), maxChannels: 50 },
      clockGuard: { maxFutureMs: 60_000 },
    },
    store: { commitWindowMs: random.pick([20, 50, 100, 250, 500]), minFreeBytes: 0 },
    sinks: Object.fromEntries(Array.from({ length: sinks }, (_, i) => [`db${i}`, sinkInput(random)])),
    statusIntervalMs: random.pick([20_000, 600_000]),
    clock: { confirmStepMs: random.pick([0, 3_000, 60_000]), maxHoldMs: random.pick([5_000, 600_000]) },
    // Small enough that seeds stay cheap, and that blocks fill within a run.
    history: {
      enabled: random.chance(0.2),
      archives: [
        { stepMs: 1_000, rows: 48 },
        { stepMs: 4_000, rows: 48 },
      ],
    },
    log: { level: 'error' },
  } satisfies ConfigInput);
  const clients = clientPlans(random, steady, hasty, config);
  const durationMs = random.int(10_000, 40_000);
  const all = faultPlans(random, durationMs, clients.length, sinks);
  return {
    seed,
    config,
    clients,
    faults: all.slice(0, faults),
    durationMs,
    lookCostMs: random.pick([0, 0, 0.1, 3]),
    refusesEvery: random.chance(0.2) ? 23 : 0,
    awaitsSync: random.chance(0.5),
  };
}

interface WindowPlan {
  readonly periodMs: number;
  readonly outOfOrderMs: number;
  readonly window: { readonly sizeMs: number; readonly hopMs: number; readonly outOfOrderMs: number };
}

function windowPlan(random: Random, outOfOrder: readonly number[]): WindowPlan {
  const sizeMs = random.pick([1_000, 2_000, 4_000]);
  const periodMs = sizeMs / random.pick([2, 4, 5, 8]);
  const outOfOrderMs = random.pick(outOfOrder);
  const hopMs = random.chance(0.3) ? sizeMs / 2 : sizeMs;
  return { periodMs, outOfOrderMs, window: { sizeMs, hopMs, outOfOrderMs } };
}

function classInput(prefix: string, window: object, learns: boolean) {
  return {
    machines: [`${prefix}*`],
    topics: ['plant/{machine}/{channel}'],
    payload: { format: 'json', sequence: '/s' } as const,
    channels: { a: {}, b: {}, '*': {} },
    window,
    // The folder does not exist: machines are learned and never scored, without an inference process.
    baseline: { enabled: learns, model: 'not-there', minWindows: 20, minSpanMs: 0 },
  };
}

function sinkInput(random: Random) {
  return {
    type: 'influxdb2' as const,
    url: 'http://127.0.0.1:8086',
    batchPoints: random.pick([3, 40, 5_000]),
    flushIntervalMs: random.pick([50, 1_000]),
    requestTimeoutMs: random.pick([1_000, 10_000]),
    retryMinMs: random.pick([10, 500]),
    retryMaxMs: random.pick([1_000, 30_000]),
  };
}

function clientPlans(random: Random, steady: WindowPlan, hasty: WindowPlan, config: Config): ClientPlan[] {
  const clients: ClientPlan[] = [];
  const quiet = { repeatChance: 0, gapChance: 0, lateChance: 0, malformedChance: 0 };
  const common = () => ({
    qos: 1 as const,
    maxInFlight: random.pick([1, 5, 20, 100]),
    clockErrorMs: random.pick([0, 0, -700, 1_300, -20_000]),
  });
  const channel = (machineClass: 'steady' | 'hasty', machine: string, name: string): ChannelPlan => ({
    machineClass,
    machine,
    channel: name,
    periodMs: (machineClass === 'steady' ? steady : hasty).periodMs,
    topic: `plant/${machine}/${name}`,
  });
  for (let i = random.int(1, 2); i > 0; i -= 1) {
    const { outOfOrderMs } = config.machineClasses['steady']!.window;
    clients.push({
      ...quiet,
      ...common(),
      name: `steady-${i}`,
      channels: ['a', 'b'].slice(0, random.int(1, 2)).map((name) => channel('steady', `s${i}`, name)),
      disorderMs: random.chance(0.5) ? outOfOrderMs : 0,
      repeatChance: random.pick([0, 0.05]),
      gapChance: random.pick([0, 0.1]),
      malformedChance: random.pick([0, 0.03]),
    });
  }
  for (let i = random.int(0, 2); i > 0; i -= 1) {
    const names = ['a', 'b', 'extra'].slice(0, random.int(1, 3));
    // Two senders of one machine can outrun each other.
    const shares = random.chance(0.5) ? [names] : names.map((name) => [name]);
    for (const [n, share] of shares.entries()) {
      clients.push({
        ...common(),
        qos: random.chance(0.2) ? 0 : 1,
        name: `hasty-${i}-${n}`,
        channels: share.map((name) => channel('hasty', `h${i}`, name)),
        disorderMs: random.pick([0, 300, 2_000]),
        repeatChance: 0.05,
        gapChance: 0.1,
        lateChance: random.pick([0, 0.05]),
        malformedChance: random.pick([0, 0.05]),
      });
    }
  }
  return clients;
}

function faultPlans(random: Random, durationMs: number, clients: number, sinks: number) {
  const faults: { atMs: number; fault: Fault }[] = [];
  const some = (most: number, make: () => Fault) => {
    for (let left = random.int(0, most); left > 0; left -= 1)
      faults.push({ atMs: random.int(0, durationMs), fault: make() });
  };
  some(1, () => ({ kind: 'kill' }));
  some(2, () => ({
    kind: 'ending',
    ending: random.pick(['kill-before', 'kill-after', 'power-cut', 'power-cut', 'flush-fails']),
    thenDuringStart: random.chance(0.15) ? random.int(1, 80) : null,
  }));
  if (random.chance(0.2)) some(1, () => ({ kind: 'stop' }));
  some(1, () => ({
    kind: 'refusal',
    refusal: random.pick(['full', 'full-for-records', 'io', 'busy']),
    forMs: random.int(100, 8_000),
  }));
  if (random.chance(0.2))
    some(2, () => ({ kind: 'slow', commitMs: random.int(5, 800), forMs: random.int(500, 8_000) }));
  some(3, () => ({
    kind: 'storm',
    sink: random.int(0, sinks - 1),
    weather: random.pick(STORMS),
    forMs: random.int(200, 30_000),
  }));
  if (random.chance(0.3)) {
    some(2, () => ({
      kind: 'wall',
      errorMs: random.pick([HOUR_MS, -HOUR_MS, -500, 500, 30 * HOUR_MS, -1_780_000_000_000]),
    }));
  }
  some(2, () => ({ kind: 'drop', client: random.int(0, clients - 1), forMs: random.int(1, 5_000) }));
  some(1, () => ({ kind: 'silence', client: random.int(0, clients - 1), forMs: random.int(1_000, 8_000) }));
  some(2, () => ({ kind: 'checkpoint' }));
  return faults.sort((a, b) => a.atMs - b.atMs);
}
