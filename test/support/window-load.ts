/**
 * Sensors under QoS 1 whose every message is known, and the windows these messages alone ask for, to be compared with
 * what a real database holds in the end. Shares no code with the gateway.
 */

import { expect } from 'vitest';
import { type GatewayProcess, waitUntil } from './gateway-process.ts';
import type { Influx } from './influx.ts';
import { SequencePublisher } from './sequence-publisher.ts';

export const WINDOW_MS = 2000;

export interface Sent {
  readonly machine: string;
  readonly channel: string;
  readonly timeMs: number;
  readonly value: number;
}

export interface Sensors {
  readonly sent: readonly Sent[];
  acknowledged(): number;
  /** Smallest number of acknowledgements that any one sensor has. */
  leastAcknowledged(): number;
  /** No new messages; resolves when all are acknowledged. */
  finish(withinMs?: number): Promise<void>;
  abandon(): void;
}

export interface SensorOptions {
  readonly port: number;
  readonly machine: string;
  readonly count: number;
  readonly inFlight: number;
  readonly intervalMs: number;
}

/** One sensor per channel `c0`, `c1`, ... of a machine; every message has a time stamp and a value of its own. */
export function startSensors({ port, machine, count, inFlight, intervalMs }: SensorOptions): Sensors {
  const sent: Sent[] = [];
  const publishers = Array.from({ length: count }, (_, sensor) => {
    const channel = `c${sensor}`;
    let lastMs = 0;
    const publisher = new SequencePublisher({
      port,
      clientId: `${machine}-${channel}`,
      inFlight,
      intervalMs,
      next(n) {
        // Strictly increasing event times make every message distinguishable in the windows.
        lastMs = Math.max(lastMs + 1, Date.now());
        const value = (n % 1000) + sensor / 8;
        sent.push({ machine, channel, timeMs: lastMs, value });
        return { topic: `factory/${machine}/${channel}`, payload: JSON.stringify({ t: lastMs, v: value }) };
      },
    });
    publisher.start();
    return publisher;
  });
  return {
    sent,
    acknowledged: () => publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0),
    leastAcknowledged: () => Math.min(...publishers.map((publisher) => publisher.acknowledged)),
    async finish(withinMs) {
      await Promise.all(publishers.map((publisher) => publisher.finish(withinMs)));
    },
    abandon() {
      for (const publisher of publishers) publisher.abandon();
    },
  };
}

/** Machines of windows of `WINDOW_MS`. */
export function windowedClass(idleTimeoutMs: number) {
  return {
    topics: ['factory/{machine}/{channel}'],
    channels: { '*': { features: ['proc.basic'] } },
    window: { sizeMs: WINDOW_MS, outOfOrderMs: 1000, idleTimeoutMs },
  };
}

/** The sink of a configuration for a real InfluxDB. */
export function influxSink({ url, org, bucket, token }: Influx) {
  return { type: 'influxdb2', url, org, bucket, token, flushIntervalMs: 100 };
}

interface Aggregate {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** The windows the messages alone ask for: key `machine channel startMs`. */
function expectedWindows(sent: readonly Sent[]): Map<string, Aggregate> {
  const windows = new Map<string, Aggregate>();
  for (const { machine, channel, timeMs, value } of sent) {
    const key = `${machine} ${channel} ${Math.floor(timeMs / WINDOW_MS) * WINDOW_MS}`;
    const { count, sum, min, max } = windows.get(key) ?? { count: 0, sum: 0, min: Infinity, max: -Infinity };
    windows.set(key, {
      count: count + 1,
      sum: sum + value,
      min: Math.min(min, value),
      max: Math.max(max, value),
    });
  }
  return windows;
}

/** Waits until every window of the messages is in the database, compares them, and returns how many there are. */
export async function expectWindows(
  influx: Influx,
  sent: readonly Sent[],
  explain: () => string,
): Promise<number> {
  const expected = expectedWindows(sent);
  const query = `from(bucket: "${influx.bucket}") |> range(start: -1d) |> filter(fn: (r) => r._measurement == "machine_features" and (r._field == "count" or r._field == "min" or r._field == "max" or r._field == "mean"))`;
  const machines = new Set(sent.map(({ machine }) => machine));
  let rows: Awaited<ReturnType<typeof influx.query>> = [];
  await waitUntil(
    async () => {
      rows = (await influx.query(query)).filter((row) => machines.has(String(row['machine'])));
      return rows.length >= expected.size * 4;
    },
    60_000,
    () => {
      const there = new Set(
        rows.map((row) => `${row['machine']} ${row['channel']} ${Date.parse(String(row['_time']))}`),
      );
      const missing = [...expected].filter(([key]) => !there.has(key));
      return `${rows.length / 4} of ${expected.size} windows arrived, missing ${JSON.stringify(missing)}\n${explain()}`;
    },
    500,
  );
  const stored = new Map<string, Record<string, number>>();
  for (const row of rows) {
    const key = `${row['machine']} ${row['channel']} ${Date.parse(String(row['_time']))}`;
    stored.set(key, { ...stored.get(key), [String(row['_field'])]: Number(row['_value']) });
  }
  expect([...stored.keys()].sort()).toEqual([...expected.keys()].sort());
  const wrong = [...expected].filter(([key, { count, sum, min, max }]) => {
    const got = stored.get(key)!;
    return got['count'] !== count || got['min'] !== min || got['max'] !== max || got['mean'] !== sum / count;
  });
  expect(wrong.map(([key, want]) => ({ key, want, got: stored.get(key) }))).toEqual([]);
  return expected.size;
}

export type SampleAccount = Readonly<
  Record<'accepted' | 'open' | 'windowed' | 'late' | 'duplicate' | 'evicted' | 'quarantined', number>
>;

/** The gateway's own account of samples; throws unless it balances. At most about a second old. */
export async function sampleAccount(gateway: GatewayProcess): Promise<SampleAccount> {
  const status = (await gateway.status()) as { store: { ledger: { samples: SampleAccount } } };
  const { samples } = status.store.ledger;
  const { accepted, open, windowed, late, duplicate, evicted, quarantined } = samples;
  expect(accepted).toBe(open + windowed + late + duplicate + evicted + quarantined);
  return samples;
}
