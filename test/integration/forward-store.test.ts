import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import type { Point } from '../../src/domain/point.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { sinkConfig, startForwarder, until } from '../support/forwarding.ts';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';
import { numberedPoints } from '../support/memory-outbox.ts';

const available = findInfluxd() !== null;
if (!available) console.log(NO_INFLUXD);

describe.skipIf(!available)('forwarding from the store on disk', () => {
  let influx: Influx;
  let proxy: FaultProxy;
  let dataDir = '';

  beforeEach(async () => {
    influx = await startInflux();
    proxy = await startFaultProxy(influx.url);
    dataDir = mkdtempSync(join(tmpdir(), 'millwright-forward-'));
  });
  afterEach(async () => {
    await proxy?.stop();
    await influx?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  function open(): Store {
    const config = configSchema.parse({ machineClasses: {} }).store;
    return openStore({ dataDir, config, sinks: ['plant'], now: Date.now, logger: SILENT });
  }

  function commit(store: Store, points: readonly Point[]): void {
    store.commit({
      journal: null,
      acceptedSamples: 0,
      channels: [],
      deadLetters: [],
      settled: { windowed: 0, late: 0, duplicate: 0 },
      results: [{ machine: 'm', closedUntilMs: 0, points, stateWrites: [] }],
      trimBelowBatch: 0,
    });
  }

  const forward = (store: Store) => {
    const { token, org, bucket } = influx;
    return startForwarder(
      store,
      sinkConfig({ type: 'influxdb2', url: proxy.url, token, org, bucket, batchPoints: 500 }),
    );
  };

  async function stored(): Promise<number[]> {
    const rows = await influx.query(
      'from(bucket: "gw") |> range(start: 0) |> filter(fn: (r) => r._field == "n") |> group() |> sort() |> keep(columns: ["_value"])',
    );
    return rows.map((row) => row['_value'] as number);
  }

  it('delivers every point once through an outage, a poisoned point and a restart, and the ledger balances', async () => {
    const points: Point[] = [];
    const produce = (store: Store, batches: number) => {
      for (let i = 0; i < batches; i++) {
        const batch = numberedPoints(40);
        points.push(...batch);
        commit(store, batch);
      }
    };
    let store = open();
    let forwarder = forward(store);
    produce(store, 10);
    forwarder.wake();
    await until('first points', () => store.backlog('plant').points === 0);
    await proxy.set({ kind: 'refuse' });
    produce(store, 100);
    const poison: Point = { ...numberedPoints(1)[0]!, fields: { n: 'a word' } };
    commit(store, [poison]);
    forwarder.wake();
    await until('the outage is seen', () => forwarder.status().state === 'retrying');
    await forwarder.stop(500);
    store.close();

    await proxy.set({ kind: 'pass' });
    store = open();
    forwarder = forward(store);
    produce(store, 10);
    forwarder.wake();
    await until('everything is settled', () => store.backlog('plant').points === 0);
    await forwarder.stop(500);
    expect(await stored()).toEqual(points.map(({ fields }) => fields['n']));
    const account = store.ledger().points[0]!;
    expect(account).toMatchObject({
      produced: 4801,
      delivered: 4800,
      deadLettered: 1,
      pending: 0,
      evicted: 0,
    });
    expect(store.checkLedger(0).balanced).toBe(true);
    store.close();
  });
});
