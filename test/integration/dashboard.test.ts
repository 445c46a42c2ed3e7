import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Assessment } from '../../src/domain/assessment.ts';
import type { FeatureVector } from '../../src/domain/feature-vector.ts';
import { MACHINE_STATES } from '../../src/domain/health.ts';
import type { Point } from '../../src/domain/point.ts';
import {
  alarmPoint,
  assessmentPoint,
  featurePoints,
  gatewayStatusPoint,
  healthPoint,
} from '../../src/domain/points-of.ts';
import { type DashboardQuery, dashboardQueries } from '../support/dashboard-queries.ts';
import { sinkConfig, startForwarder, until } from '../support/forwarding.ts';
import { findInfluxd, type Influx, NO_INFLUXD, startInflux } from '../support/influx.ts';
import { MemoryOutbox } from '../support/memory-outbox.ts';

const available = findInfluxd() !== null;
if (!available) console.log(NO_INFLUXD);

const dashboard = JSON.parse(
  readFileSync(new URL('../../deploy/grafana/dashboards/plant.json', import.meta.url), 'utf8'),
);
const nowMs = Math.floor(Date.now() / 10_000) * 10_000;

/** Ten windows of a machine as the pipeline would write them. */
function machinePoints(machine: string): Point[] {
  return Array.from({ length: 10 }, (_, i) => windowPoints(machine, nowMs - 600_000 + i * 10_000)).flat();
}

function windowPoints(machine: string, startMs: number): Point[] {
  const window = { machineClass: 'pump', machine, startMs, endMs: startMs + 10_000, revision: 0 };
  const rms = { id: 'rms', unit: 'g', formulaVersion: 1, params: {} };
  const vector: FeatureVector = {
    ...window,
    coverage: 1,
    quality: 'good',
    groups: [
      { channel: 'vibration', specs: [rms], values: Float64Array.of(1.5), coverage: 1, quality: 'good' },
      {
        channel: '',
        specs: [{ ...rms, id: 'run_hours' }],
        values: Float64Array.of(3),
        coverage: 1,
        quality: 'good',
      },
    ],
  };
  const model = { name: 'm', version: '1', sha256: '' };
  const assessment: Assessment = {
    ...window,
    scoreState: 'scored',
    reason: '',
    baselineProgress: 1,
    extrapolating: false,
    anomaly: {
      score: 12,
      pValue: 0.001,
      surprise: 3,
      contributions: [{ featureId: 'vibration.rms', z: 8, share: 1 }],
      model,
    },
    prognosis: {
      failureMode: 'bearing',
      unit: 'h',
      rul: 100,
      rulLow: 80,
      rulHigh: 130,
      confidence: 0.9,
      censored: false,
      model,
    },
  };
  const health = { ...window, state: 'warning', healthIndex: 0.7, advice: 'look at the bearing' } as const;
  const alarm = { ...window, condition: 'anomaly', transition: 'raised', severity: 'warning' } as const;
  return [
    ...featurePoints(vector),
    assessmentPoint(assessment),
    healthPoint(health, MACHINE_STATES.indexOf('warning')),
    alarmPoint({ ...alarm, timeMs: startMs + 10_000, message: 'vibration.rms is 8 robust z from normal' }),
  ];
}

function gatewayPoints(): Point[] {
  return Array.from({ length: 10 }, (_, i) =>
    gatewayStatusPoint(
      'millwright',
      {
        accepted_samples: 1000 * i,
        late_samples: i,
        duplicate_samples: i,
        dead_letters: 0,
        outbox_pending_points: 5,
        outbox_oldest_age_s: 0.5,
        delivered_points: 100 * i,
        connections: 3,
        rss_bytes: 1e8,
        ack_latency_p99_ms: 60,
        store_bytes: 1e6,
      },
      nowMs - 600_000 + i * 10_000,
    ),
  );
}

describe.skipIf(!available)('the Grafana dashboard on a real InfluxDB', () => {
  let influx: Influx;
  const names = dashboardQueries(dashboard, context([])).map(({ name }) => name);

  function context(machine: readonly string[]) {
    const variables = { bucket: 'gw', machine, channel: ['vibration'], feature: 'rms' };
    return { start: '-1h', stop: 'now()', variables };
  }

  beforeAll(async () => {
    influx = await startInflux();
    const outbox = new MemoryOutbox();
    const points = [...machinePoints('pump 1/a'), ...machinePoints('pump-2'), ...gatewayPoints()];
    outbox.append(points);
    const { url, token, org, bucket } = influx;
    const forwarder = startForwarder(outbox, sinkConfig({ type: 'influxdb2', url, token, org, bucket }));
    await until('the sample points', () => outbox.delivered === points.length);
    await forwarder.stop(1_000);
  });
  afterAll(async () => await influx?.stop());

  function query(name: string, machine: readonly string[]): DashboardQuery {
    return dashboardQueries(dashboard, context(machine)).find((candidate) => candidate.name === name)!;
  }

  it.each(dashboardQueries(dashboard, context(['pump 1/a'])).map(({ name }) => name))(
    'fills %s for one machine',
    async (name) => {
      const rows = await influx.query(query(name, ['pump 1/a']).flux);
      expect(rows.length).toBeGreaterThan(0);
      const other = rows.filter(({ machine }) => machine !== undefined && machine !== 'pump 1/a');
      if (!name.startsWith('variable')) expect(other).toEqual([]);
    },
  );

  it('shows several machines at once', async () => {
    for (const name of names.filter(
      (candidate) => candidate.startsWith('Health index') || candidate.startsWith('Now'),
    )) {
      const rows = await influx.query(query(name, ['pump 1/a', 'pump-2']).flux);
      expect(new Set(rows.map(({ machine }) => machine))).toEqual(new Set(['pump 1/a', 'pump-2']));
    }
  });

  it('puts one row per machine into the table of what is now', async () => {
    const rows = await influx.query(query('Now / B', ['pump 1/a', 'pump-2']).flux);
    expect(
      rows.map(({ machine, anomaly_surprise, rul, rul_low, rul_high }) => [
        machine,
        anomaly_surprise,
        rul_low,
        rul,
        rul_high,
      ]),
    ).toEqual([
      ['pump 1/a', 3, 80, 100, 130],
      ['pump-2', 3, 80, 100, 130],
    ]);
  });

  it('offers the machines, channels and features there are', async () => {
    const offered = async (name: string) =>
      (await influx.query(query(`variable ${name}`, []).flux)).map(({ _value }) => _value);
    expect(await offered('machine')).toEqual(['pump 1/a', 'pump-2']);
    expect(await offered('channel')).toEqual(['vibration']);
    expect(await offered('feature')).toEqual(['coverage', 'rms', 'run_hours']);
  });
});
