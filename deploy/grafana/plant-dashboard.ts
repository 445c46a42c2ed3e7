/**
 * The plant dashboard for Grafana 10, made from the names in `src/domain`, so that a renamed field can't leave a panel
 * empty. `dashboards/plant.json` is its output, written by `npx vitest run test/unit/deploy -u` and checked by the
 * same test.
 */

import { MACHINE_STATES, type MachineState } from '../../src/domain/health.ts';
import { type GatewayCounts, MEASUREMENTS } from '../../src/domain/points-of.ts';

/** As `provisioning/datasources/influxdb.yaml` names it. */
export const DATASOURCE = { type: 'influxdb', uid: 'millwright-influxdb' } as const;

/** Colours that differ in lightness as well as in hue, for eyes that tell red from green badly. */
const STATE_COLOURS: Record<MachineState, string> = {
  unknown: '#8e8e8e',
  commissioning: '#6794dc',
  healthy: '#37872d',
  warning: '#f2cc0c',
  alarm: '#c4162a',
};

const RANGE = 'range(start: v.timeRangeStart, stop: v.timeRangeStop)';
const MACHINE = 'r.machine =~ /^${machine:regex}$/';

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly refId: string; readonly query: string }[];
  readonly [key: string]: unknown;
}

interface PanelSpec {
  readonly type: string;
  readonly title: string;
  readonly description: string;
  /** Columns of 24 and rows of 30 px. */
  readonly width: number;
  readonly height: number;
  readonly queries: readonly string[];
  readonly unit?: string;
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  readonly defaults?: object;
  readonly custom?: object;
  readonly overrides?: readonly object[];
  readonly options?: object;
}

/** The whole dashboard, ready for `JSON.stringify`. */
export function plantDashboard() {
  return {
    uid: 'millwright-plant',
    title: 'Millwright plant',
    description: 'Machines, what the models say about them, and the gateway that watches them.',
    tags: ['millwright'],
    schemaVersion: 38,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '10s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    annotations: { list: [alarmAnnotation()] },
    templating: { list: variables() },
    panels: layOut([
      row('Machines', machinePanels()),
      row('Anomaly', anomalyPanels()),
      row('Remaining useful life', lifePanels()),
      row('Features of ${machine}', featurePanels()),
      row('Gateway', gatewayPanels()),
    ]),
  };
}

/** Fields of a measurement, one series for each machine (or other tags) and field, reduced to the panel's width. */
function series(measurement: string, fields: readonly string[], filter: string, reduce: string): string {
  return [
    'from(bucket: "${bucket}")',
    RANGE,
    `filter(fn: (r) => r._measurement == "${measurement}" and ${filter})`,
    `filter(fn: (r) => ${fields.map((field) => `r._field == "${field}"`).join(' or ')})`,
    `aggregateWindow(every: v.windowPeriod, fn: ${reduce}, createEmpty: false)`,
  ].join('\n  |> ');
}

/** Last value of each field and machine in the range: one row a machine, one column a field. */
function lastPerMachine(measurement: string, fields: readonly string[]): string {
  return [
    'from(bucket: "${bucket}")',
    RANGE,
    `filter(fn: (r) => r._measurement == "${measurement}" and ${MACHINE})`,
    `filter(fn: (r) => ${fields.map((field) => `r._field == "${field}"`).join(' or ')})`,
    'last()',
    'keep(columns: ["machine", "_field", "_value"])',
    'group()',
    'pivot(rowKey: ["machine"], columnKey: ["_field"], valueColumn: "_value")',
  ].join('\n  |> ');
}

function machinePanels(): PanelSpec[] {
  const { health, assessment, alarm } = MEASUREMENTS;
  return [
    {
      type: 'state-timeline',
      title: 'State',
      description: 'The worst state of each interval, so that a short alarm stays visible.',
      width: 16,
      height: 9,
      queries: [
        `${series(health, ['state_index'], MACHINE, 'max')}\n  |> keep(columns: ["_time", "_value", "machine"])`,
      ],
      defaults: { displayName: '${__field.labels.machine}', mappings: [stateMapping()] },
      custom: { fillOpacity: 85, lineWidth: 0 },
      options: { showValue: 'auto', mergeValues: true, rowHeight: 0.85, legend: { showLegend: false } },
    },
    {
      type: 'table',
      title: 'Now',
      description: 'Last value of each machine. RUL: in the unit of its model, with the calibrated interval.',
      width: 8,
      height: 9,
      queries: [
        lastPerMachine(health, ['state_index', 'health_index']),
        lastPerMachine(assessment, ['anomaly_surprise', 'rul', 'rul_low', 'rul_high']),
      ],
      decimals: 2,
      overrides: [
        override('state_index', { displayName: 'state', mappings: [stateMapping()], custom: colouredCell() }),
        override('health_index', { displayName: 'health', min: 0, max: 1 }),
        override('anomaly_surprise', { displayName: 'surprise' }),
      ],
      options: { cellHeight: 'sm', sortBy: [{ displayName: 'state', desc: true }] },
    },
    {
      type: 'timeseries',
      title: 'Health index',
      description: '1 as commissioned, 0 worst.',
      width: 12,
      height: 8,
      queries: [series(health, ['health_index'], MACHINE, 'min')],
      min: 0,
      max: 1,
      decimals: 2,
      defaults: { displayName: '${__field.labels.machine}' },
    },
    {
      type: 'table',
      title: 'Alarms',
      description: 'Raised and cleared in the range, newest first, with the evidence.',
      width: 12,
      height: 8,
      queries: [
        [
          'from(bucket: "${bucket}")',
          RANGE,
          `filter(fn: (r) => r._measurement == "${alarm}" and ${MACHINE})`,
          'pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")',
          'group()',
          'keep(columns: ["_time", "machine", "condition", "transition", "severity", "message"])',
          'sort(columns: ["_time"], desc: true)',
          'limit(n: 200)',
        ].join('\n  |> '),
      ],
      options: { cellHeight: 'sm' },
    },
    {
      type: 'table',
      title: 'What to do',
      description: 'Last advice of each machine that is not healthy any more.',
      width: 24,
      height: 5,
      queries: [
        [
          'from(bucket: "${bucket}")',
          RANGE,
          `filter(fn: (r) => r._measurement == "${health}" and r._field == "advice" and ${MACHINE})`,
          'last()',
          'group()',
          'keep(columns: ["_time", "machine", "_value"])',
          'rename(columns: {_value: "advice"})',
        ].join('\n  |> '),
      ],
      options: { cellHeight: 'sm' },
    },
  ];
}

function anomalyPanels(): PanelSpec[] {
  const { assessment } = MEASUREMENTS;
  return [
    {
      type: 'timeseries',
      title: 'Surprise',
      description: '-log10 of the probability of such a window on a healthy machine: 3 is one in a thousand.',
      width: 12,
      height: 8,
      queries: [series(assessment, ['anomaly_surprise'], MACHINE, 'max')],
      min: 0,
      defaults: { displayName: '${__field.labels.machine}' },
    },
    {
      type: 'timeseries',
      title: 'Anomaly score',
      description: 'The statistic of the detector itself; comparable within one machine only.',
      width: 12,
      height: 8,
      queries: [series(assessment, ['anomaly_score'], MACHINE, 'max')],
      min: 0,
      defaults: { displayName: '${__field.labels.machine}' },
    },
    {
      type: 'table',
      title: 'What explains the score',
      description: 'Feature with the largest share of the last score, and how far it is from normal.',
      width: 12,
      height: 7,
      queries: [
        `${lastPerMachine(assessment, ['anomaly_top_feature'])}\n  |> rename(columns: {anomaly_top_feature: "feature"})`,
        lastPerMachine(assessment, ['anomaly_top_z']),
      ],
      decimals: 1,
      overrides: [override('anomaly_top_z', { displayName: 'robust z' })],
      options: { cellHeight: 'sm' },
    },
    {
      type: 'bargauge',
      title: 'Commissioning',
      description: 'How much of its own baseline each machine has learned.',
      width: 12,
      height: 7,
      queries: [series(assessment, ['baseline_progress'], MACHINE, 'last')],
      unit: 'percentunit',
      min: 0,
      max: 1,
      defaults: { displayName: '${__field.labels.machine}' },
      options: { orientation: 'horizontal', displayMode: 'basic', reduceOptions: { calcs: ['lastNotNull'] } },
    },
  ];
}

function lifePanels(): PanelSpec[] {
  const { assessment } = MEASUREMENTS;
  return [
    {
      type: 'timeseries',
      title: 'Remaining useful life of ${machine}',
      description: 'Estimate and calibrated interval, in the unit of the model (cycles or hours).',
      width: 24,
      height: 9,
      queries: [series(assessment, ['rul', 'rul_low', 'rul_high'], MACHINE, 'mean')],
      min: 0,
      defaults: { displayName: '${__field.labels.machine} ${__field.name}' },
      overrides: [
        seriesOverride('.* rul_high', { fillBelowTo: 'rul_low', fillOpacity: 15, lineWidth: 1 }),
        seriesOverride('.* rul_low', { lineWidth: 1 }),
        seriesOverride('.* rul', { lineWidth: 2 }),
      ],
    },
  ];
}

function featurePanels(): PanelSpec[] {
  const { features } = MEASUREMENTS;
  const channel = `${MACHINE} and (not exists r.channel or r.channel =~ /^\${channel:regex}$/)`;
  return [
    {
      type: 'timeseries',
      title: '${feature}',
      description: 'One feature over all chosen machines and channels; its unit is in docs/features.md.',
      width: 16,
      height: 10,
      queries: [
        [
          'from(bucket: "${bucket}")',
          RANGE,
          `filter(fn: (r) => r._measurement == "${features}" and r._field == "\${feature}" and ${channel})`,
          'aggregateWindow(every: v.windowPeriod, fn: mean, createEmpty: false)',
        ].join('\n  |> '),
      ],
      defaults: { displayName: '${__field.labels.machine} ${__field.labels.channel}' },
    },
    {
      type: 'timeseries',
      title: 'Coverage',
      description: 'Received of expected samples in each window, the worst of an interval.',
      width: 8,
      height: 10,
      queries: [series(features, ['coverage'], channel, 'min')],
      unit: 'percentunit',
      min: 0,
      max: 1,
      defaults: { displayName: '${__field.labels.machine} ${__field.labels.channel}' },
    },
  ];
}

function gatewayPanels(): PanelSpec[] {
  const gateway = (fields: readonly (keyof GatewayCounts)[]) =>
    series(MEASUREMENTS.gateway, fields, 'true', 'last');
  // A counter starts at zero with the process: what goes down is a restart, not a negative rate.
  const rate = (fields: readonly (keyof GatewayCounts)[]) =>
    `${gateway(fields)}\n  |> derivative(unit: 1s, nonNegative: true)`;
  const name = { displayName: '${__field.labels.gateway} ${__field.name}' };
  const small = { width: 6, height: 7 };
  return [
    {
      ...small,
      type: 'timeseries',
      title: 'Throughput',
      description: 'Samples accepted and points delivered per second.',
      queries: [rate(['accepted_samples', 'delivered_points'])],
      unit: 'cps',
      min: 0,
      defaults: name,
    },
    {
      ...small,
      type: 'timeseries',
      title: 'Acknowledgement p99',
      description: 'From the arrival of a QoS 1 message to its PUBACK, after the fsync.',
      queries: [gateway(['ack_latency_p99_ms'])],
      unit: 'ms',
      min: 0,
      defaults: name,
    },
    {
      ...small,
      type: 'timeseries',
      title: 'Backlog',
      description: 'Points that wait for a sink.',
      queries: [gateway(['outbox_pending_points'])],
      min: 0,
      defaults: name,
    },
    {
      ...small,
      type: 'timeseries',
      title: 'Oldest waiting point',
      description: 'Age of the oldest point that waits for a sink.',
      queries: [gateway(['outbox_oldest_age_s'])],
      unit: 's',
      min: 0,
      defaults: name,
    },
    {
      ...small,
      type: 'timeseries',
      title: 'Late, duplicate and unusable',
      description:
        'Counted since the start; dead letters are kept and can be looked into with `millwright outbox`.',
      queries: [gateway(['late_samples', 'duplicate_samples', 'dead_letters'])],
      min: 0,
      defaults: name,
    },
    {
      ...small,
      type: 'timeseries',
      title: 'Connections',
      description: 'Open MQTT connections.',
      queries: [gateway(['connections'])],
      min: 0,
      decimals: 0,
      defaults: name,
    },
    {
      ...small,
      type: 'timeseries',
      title: 'Memory',
      description: 'Resident set size of the gateway.',
      queries: [gateway(['rss_bytes'])],
      unit: 'bytes',
      min: 0,
      defaults: name,
    },
    {
      ...small,
      type: 'timeseries',
      title: 'Store',
      description: 'Bytes of the database on the card.',
      queries: [gateway(['store_bytes'])],
      unit: 'bytes',
      min: 0,
      defaults: name,
    },
  ];
}

function variables(): object[] {
  const { health, features } = MEASUREMENTS;
  const schema = 'import "influxdata/influxdb/schema"\n';
  const list = (name: string, label: string, query: string, more: object) => ({
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    query,
    definition: query,
    refresh: 2,
    sort: 1,
    hide: 0,
    skipUrlSync: false,
    options: [],
    ...more,
  });
  const everyone = {
    multi: true,
    includeAll: true,
    current: { selected: true, text: ['All'], value: ['$__all'] },
  };
  return [
    {
      name: 'bucket',
      label: 'Bucket',
      type: 'textbox',
      query: 'gw',
      current: { selected: true, text: 'gw', value: 'gw' },
      options: [{ selected: true, text: 'gw', value: 'gw' }],
      hide: 0,
      skipUrlSync: false,
    },
    list(
      'machine',
      'Machine',
      `${schema}schema.tagValues(bucket: "\${bucket}", tag: "machine", predicate: (r) => r._measurement == "${health}" or r._measurement == "${features}", start: -90d)`,
      everyone,
    ),
    list(
      'channel',
      'Channel',
      `${schema}schema.tagValues(bucket: "\${bucket}", tag: "channel", predicate: (r) => r._measurement == "${features}", start: -90d)`,
      everyone,
    ),
    list(
      'feature',
      'Feature',
      `${schema}schema.measurementFieldKeys(bucket: "\${bucket}", measurement: "${features}", start: -90d)\n  |> filter(fn: (r) => r._value != "quality" and r._value != "revision")`,
      { multi: false, includeAll: false, current: { selected: true, text: 'rms', value: 'rms' } },
    ),
  ];
}

function alarmAnnotation(): object {
  return {
    name: 'Alarms',
    enable: true,
    iconColor: STATE_COLOURS.alarm,
    datasource: DATASOURCE,
    target: {
      refId: 'Anno',
      query: [
        'from(bucket: "${bucket}")',
        RANGE,
        `filter(fn: (r) => r._measurement == "${MEASUREMENTS.alarm}" and ${MACHINE} and r._field == "message")`,
        'group()',
        'keep(columns: ["_time", "_value", "machine"])',
        'rename(columns: {_value: "text"})',
      ].join('\n  |> '),
    },
    mappings: { text: { source: 'field', value: 'text' }, tags: { source: 'field', value: 'machine' } },
  };
}

function stateMapping(): object {
  const options = MACHINE_STATES.map((state, index) => [
    String(index),
    { text: state, color: STATE_COLOURS[state], index },
  ]);
  return { type: 'value', options: Object.fromEntries(options) };
}

function colouredCell(): object {
  return { cellOptions: { type: 'color-background', mode: 'basic' } };
}

function override(field: string, properties: Readonly<Record<string, unknown>>): object {
  return {
    matcher: { id: 'byName', options: field },
    properties: Object.entries(properties).map(([id, value]) => ({ id, value })),
  };
}

function seriesOverride(pattern: string, custom: Readonly<Record<string, unknown>>): object {
  return {
    matcher: { id: 'byRegexp', options: `/^${pattern}$/` },
    properties: Object.entries(custom).map(([id, value]) => ({ id: `custom.${id}`, value })),
  };
}

interface Row {
  readonly title: string;
  readonly panels: readonly PanelSpec[];
}

function row(title: string, panels: readonly PanelSpec[]): Row {
  return { title, panels };
}

/** Left to right, a new line where a panel does not fit any more. */
function layOut(rows: readonly Row[]): Panel[] {
  const placed: Panel[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    const gridPos = { x: 0, y: y++, w: 24, h: 1 };
    placed.push({ id: placed.length + 1, type: 'row', title, collapsed: false, gridPos, panels: [] });
    let x = 0;
    let lineHeight = 0;
    for (const spec of panels) {
      if (x + spec.width > 24) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      placed.push(panel(spec, placed.length + 1, { x, y, w: spec.width, h: spec.height }));
      x += spec.width;
      lineHeight = Math.max(lineHeight, spec.height);
    }
    y += lineHeight;
  }
  return placed;
}

function panel(spec: PanelSpec, id: number, gridPos: object): Panel {
  const { type, title, description, queries, unit, decimals, min, max, overrides = [] } = spec;
  const merged = type === 'table' && queries.length > 1 ? [{ id: 'merge', options: {} }] : [];
  return {
    id,
    type,
    title,
    description,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: {
      defaults: {
        ...defined({ unit, decimals, min, max }),
        color: { mode: 'palette-classic' },
        noValue: 'no data',
        ...spec.defaults,
        custom: { ...(type === 'timeseries' ? TREND : {}), ...spec.custom },
      },
      overrides,
    },
    options: { ...(type === 'timeseries' ? TREND_OPTIONS : {}), ...spec.options },
    targets: queries.map((query, i) => ({
      refId: String.fromCharCode(65 + i),
      datasource: DATASOURCE,
      query,
    })),
    transformations: merged,
  };
}

/** Windows that do not come for five minutes are a gap, not a line through nothing. */
const TREND = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  showPoints: 'auto',
  spanNulls: false,
  insertNulls: 300_000,
};
const TREND_OPTIONS = {
  legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
  tooltip: { mode: 'multi', sort: 'desc' },
};

function defined(values: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
