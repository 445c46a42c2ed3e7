/**
 * A plant whose database fails: machines publish with QoS 1 into a gateway process, its sink is a real InfluxDB behind
 * a fault proxy, and what must be in the database is known from the published messages alone.
 *
 * Beside the gateway runs a naive forwarder as a control: the official client with its default retries and its buffer
 * in memory gets the same windows, computed here, and meets the same outage.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InfluxDB, setLogger, type WriteApi } from '@influxdata/influxdb-client';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import {
  freePort,
  type GatewayProcess,
  type GatewayProcessOptions,
  startGatewayProcess,
  temporaryDirectory,
  waitUntil,
} from './gateway-process.ts';
import { type Influx, startInflux } from './influx.ts';
import { SequencePublisher } from './sequence-publisher.ts';

export const WINDOW_MS = 1_000;
/** Event time between two messages: ten fill a window. */
const STEP_MS = 100;
const MESSAGE_INTERVAL_MS = 5;
/** With a commit every 50 ms at the latest, some hundreds of messages a second and machine. */
const IN_FLIGHT = 20;

setLogger({ warn: () => undefined, error: () => undefined });

/** Count and mean of each window by its start, ms. */
export type Windows = Map<number, readonly [count: number, mean: number]>;

/** One machine: what it publishes, and the windows that must come of it. */
export class MachineLoad {
  readonly name: string;
  readonly #publisher: SequencePublisher;
  readonly #firstMs: number;
  readonly #sums = new Map<number, [number, number]>();
  /** Messages that are in the sums. */
  #counted = 0;

  /** @param firstMs event time of the first message, a multiple of the window */
  constructor(name: string, mqttPort: number, firstMs: number) {
    this.name = name;
    this.#firstMs = firstMs;
    this.#publisher = new SequencePublisher({
      port: mqttPort,
      clientId: `sensor-${name}`,
      inFlight: IN_FLIGHT,
      intervalMs: MESSAGE_INTERVAL_MS,
      next: (n) => ({
        topic: `plant/${name}/row`,
        payload: JSON.stringify({ t: firstMs + n * STEP_MS, value: eighths(n) }),
      }),
    });
  }

  start(): void {
    this.#publisher.start();
  }

  /** Resolves when every message is acknowledged. */
  async finish(): Promise<void> {
    await this.#publisher.finish();
  }

  get latenciesMs(): readonly number[] {
    return this.#publisher.latenciesMs;
  }

  /** Windows of all messages made so far but the last one, which no later message has closed. */
  windows(): Windows {
    for (; this.#counted < this.#publisher.sent; this.#counted += 1) {
      const timeMs = this.#firstMs + this.#counted * STEP_MS;
      const start = timeMs - (timeMs % WINDOW_MS);
      const [count, sum] = this.#sums.get(start) ?? [0, 0];
      this.#sums.set(start, [count + 1, sum + eighths(this.#counted)]);
    }
    const means = [...this.#sums].map(([start, [count, sum]]) => [start, [count, sum / count]] as const);
    return new Map(means.slice(0, -1));
  }
}

/** Sums of them are exact. */
function eighths(n: number): number {
  return ((n * 7919) % 4096) / 8;
}

/** What differs between the windows that must be there and those that are, one line each. */
export function differences(expected: Windows, stored: Windows): string[] {
  const wrong = [...expected].filter(([start, [count, mean]]) => {
    const got = stored.get(start);
    return got?.[0] !== count || got[1] !== mean;
  });
  const extra = [...stored.keys()].filter((start) => !expected.has(start));
  return [
    ...wrong.map(([start, want]) => `${start}: ${stored.get(start) ?? 'missing'} instead of ${want}`),
    ...extra.map((start) => `${start} was never sent`),
  ];
}

export interface SinkAccount {
  readonly sink: string;
  readonly produced: number;
  readonly delivered: number;
  readonly deadLettered: number;
  readonly degraded: number;
  readonly evicted: number;
  readonly quarantined: number;
  readonly pending: number;
}

export interface SinkView {
  readonly sink: string;
  readonly state: string;
  readonly reason: string;
  readonly hint: string;
}

/** The official client as its documentation shows it, with its default retries, flushing every second. */
export class NaiveForwarder {
  #api: WriteApi;
  readonly #make: () => WriteApi;
  readonly #sent = new Set<string>();

  constructor(url: string, { token, org, bucket }: Influx) {
    this.#make = () => new InfluxDB({ url, token }).getWriteApi(org, bucket, 'ms', { flushInterval: 1_000 });
    this.#api = this.#make();
  }

  /** Hands over every closed window of the machine that it does not have yet. */
  take(load: MachineLoad): void {
    for (const [start, [count]] of load.windows()) {
      const key = `${load.name} ${start}`;
      if (this.#sent.has(key)) continue;
      this.#sent.add(key);
      this.#api.writeRecord(`naive,machine=${load.name} count=${count} ${start}`);
    }
  }

  /** The process was killed: what the client holds in memory is gone. */
  kill(): void {
    // A client that is dropped would go on from its timers.
    this.#api.dispose();
    this.#api = this.#make();
  }

  async close(): Promise<void> {
    await this.#api.close().catch(() => undefined);
  }
}

export class OutagePlant {
  readonly influx: Influx;
  readonly proxy: FaultProxy;
  gateway!: GatewayProcess;
  readonly naive: NaiveForwarder;
  readonly #directory = temporaryDirectory('outages');
  #options!: GatewayProcessOptions;

  constructor(influx: Influx, proxy: FaultProxy) {
    this.influx = influx;
    this.proxy = proxy;
    this.naive = new NaiveForwarder(proxy.url, influx);
  }

  /** @param sinks `far`, through the proxy, unless given */
  static async start(sinks?: (influx: Influx) => Promise<Record<string, unknown>>): Promise<OutagePlant> {
    const influx = await startInflux();
    const proxy = await startFaultProxy(influx.url);
    const plant = new OutagePlant(influx, proxy);
    const { org, bucket, token } = influx;
    const far = { type: 'influxdb2', url: proxy.url, org, bucket, token };
    try {
      await plant.#startGateway((await sinks?.(influx)) ?? { far });
    } catch (error) {
      await plant.stop();
      throw error;
    }
    return plant;
  }

  async #startGateway(sinks: Record<string, unknown>): Promise<void> {
    const quick = { flushIntervalMs: 100, retryMinMs: 100, retryMaxMs: 1_000, requestTimeoutMs: 1_000 };
    const config = {
      machineClasses: {
        any: {
          topics: ['plant/{machine}/row'],
          payload: { format: 'json', allFields: true, time: '/t', timeUnit: 'ms' },
          channels: { value: { features: ['proc.basic'] } },
          // No window may close by itself while a sender waits for its gateway to be back.
          window: { sizeMs: WINDOW_MS, outOfOrderMs: 0, idleTimeoutMs: 60_000 },
        },
      },
      ingest: { clockGuard: { maxPastMs: 0 } },
      sinks: Object.fromEntries(
        Object.entries(sinks).map(([name, sink]) => [name, { ...quick, ...(sink as object) }]),
      ),
    };
    const dataDir = join(this.#directory.path, 'data');
    this.#options = { config, dataDir, mqttPort: await freePort() };
    this.gateway = await startGatewayProcess(this.#options);
  }

  load(machine: string, firstMs: number): MachineLoad {
    return new MachineLoad(machine, this.gateway.mqttPort, firstMs - (firstMs % WINDOW_MS));
  }

  /** SIGKILL of gateway and control, and a new start of both. */
  async killAndRestart(): Promise<void> {
    await this.gateway.kill();
    this.naive.kill();
    this.gateway = await startGatewayProcess(this.#options);
  }

  async stored(machine: string, bucket = this.influx.bucket): Promise<Windows> {
    const rows = await this.influx.query(
      `from(bucket: "${bucket}") |> range(start: 0)
        |> filter(fn: (r) => r._measurement == "machine_features" and r.machine == "${machine}")
        |> filter(fn: (r) => r._field == "count" or r._field == "mean")
        |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")`,
    );
    const windows: Windows = new Map();
    for (const row of rows) {
      const start = Date.parse(String(row['_time']));
      if (windows.has(start)) throw new Error(`window ${start} of ${machine} stands twice`);
      windows.set(start, [Number(row['count']), Number(row['mean'])]);
    }
    return windows;
  }

  /** Waits until the database has what was published, and returns what differs in the end. */
  async settled(load: MachineLoad, withinMs: number, bucket?: string): Promise<string[]> {
    const expected = load.windows();
    const deadline = performance.now() + withinMs;
    for (;;) {
      const wrong = differences(expected, await this.stored(load.name, bucket));
      if (wrong.length === 0 || performance.now() > deadline) return wrong;
      await sleep(100);
    }
  }

  /** How long until a window that begins after `eventMs` is in the database, ms. */
  async newestVisibleMs(load: MachineLoad, eventMs: number, withinMs: number): Promise<number> {
    const fromMs = performance.now();
    await waitUntil(
      async () => {
        const rows = await this.influx.query(
          `from(bucket: "${this.influx.bucket}") |> range(start: ${new Date(eventMs).toISOString()})
            |> filter(fn: (r) => r._measurement == "machine_features" and r.machine == "${load.name}" and r._field == "count")
            |> last() |> keep(columns: ["_time"])`,
        );
        return rows.length > 0;
      },
      withinMs,
      () => `no new window of ${load.name} after ${withinMs} ms\n${this.gateway.log()}`,
      50,
    );
    return performance.now() - fromMs;
  }

  /** Windows of the machine that the control brought through. */
  async naiveCount(machine: string): Promise<number> {
    const rows = await this.influx.query(
      `from(bucket: "${this.influx.bucket}") |> range(start: 0)
        |> filter(fn: (r) => r._measurement == "naive" and r.machine == "${machine}") |> count()`,
    );
    return Number(rows[0]?.['_value'] ?? 0);
  }

  async accounts(): Promise<SinkAccount[]> {
    let points: SinkAccount[] = [];
    // Right after the start the pipeline has not said anything yet.
    await waitUntil(
      async () => {
        const status = (await this.gateway.status()) as { store: { ledger: { points: SinkAccount[] } } };
        points = status.store.ledger.points;
        return points.length > 0;
      },
      10_000,
      () => `no accounts\n${this.gateway.log()}`,
    );
    return points;
  }

  async sink(name: string): Promise<SinkView> {
    let view: SinkView | undefined;
    // Right after the start the pipeline has not said anything yet.
    await waitUntil(
      async () => {
        const { sinks } = (await this.gateway.status()) as { sinks: SinkView[] };
        view = sinks.find(({ sink }) => sink === name);
        return view !== undefined;
      },
      10_000,
      () => `no sink ${name}\n${this.gateway.log()}`,
    );
    return view!;
  }

  async untilSink(
    name: string,
    condition: (view: SinkView) => boolean,
    withinMs = 10_000,
  ): Promise<SinkView> {
    let view = await this.sink(name);
    await waitUntil(
      async () => {
        view = await this.sink(name);
        return condition(view);
      },
      withinMs,
      () => `sink ${name}: ${JSON.stringify(view)}\n${this.gateway.log()}`,
    );
    return view;
  }

  async stop(): Promise<void> {
    await this.naive.close();
    await this.gateway?.kill();
    await this.proxy.stop();
    await this.influx.stop();
    this.#directory.remove();
  }
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}
