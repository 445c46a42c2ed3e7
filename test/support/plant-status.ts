/** A plant as the API would describe it: one machine in every state, for tests of what is served and shown. */

import type {
  AnomalyStatus,
  GatewayStatus,
  MachineStatus,
  SinkStatus,
} from '../../src/domain/gateway-status.ts';

const MODEL = { name: 'machine-baseline', version: '1.0.0', sha256: 'ab'.repeat(32) };

/** A healthy fan whose last window ended two seconds before `atMs`. */
export function machineStatus(atMs: number, overrides: Partial<MachineStatus> = {}): MachineStatus {
  return {
    machine: 'fan-01',
    machineClass: 'fan',
    state: 'healthy',
    healthIndex: 0.98,
    advice: '',
    scoreState: 'scored',
    reason: '',
    baselineProgress: 1,
    anomaly: anomalyStatus({ score: 11.2, pValue: 0.31, surprise: 0.51 }),
    prognosis: null,
    lastWindow: { startMs: atMs - 12_000, endMs: atMs - 2_000, coverage: 0.996, quality: 'good' },
    features: [
      { id: 'airflow.mean', unit: 'm3/h', value: 4213.7 },
      { id: 'current.mean', unit: 'A', value: 11.82 },
      { id: 'bearing_temperature.mean', unit: 'degC', value: 47.31 },
    ],
    ...overrides,
  };
}

export function anomalyStatus(overrides: Partial<AnomalyStatus> = {}): AnomalyStatus {
  return {
    score: 1,
    pValue: 0.5,
    surprise: 0.3,
    surpriseLimit: 4.1,
    contributions: [],
    model: MODEL,
    ...overrides,
  };
}

export function sinkStatus(overrides: Partial<SinkStatus> = {}): SinkStatus {
  return {
    sink: 'influx',
    state: 'ok',
    reason: '',
    hint: '',
    lastSuccessMs: null,
    backlogPoints: 0,
    backlogBytes: 0,
    backlogOldestMs: null,
    backlogEtaS: null,
    deliveredPoints: 481_200,
    deadLetteredPoints: 0,
    requests: 812,
    retries: 0,
    ...overrides,
  };
}

function failingPump(atMs: number): MachineStatus {
  return machineStatus(atMs, {
    machine: 'pump-01',
    machineClass: 'pump',
    state: 'alarm',
    healthIndex: 0.17,
    advice:
      'Outer-race defect likely: vibration.env_snr.bpfo is 14.2 deviations above its normal. Plan a bearing change.',
    anomaly: anomalyStatus({
      score: 212.4,
      pValue: 3.1e-8,
      surprise: 7.5,
      contributions: [
        { featureId: 'vibration.env_snr.bpfo', z: 14.2, share: 0.61 },
        { featureId: 'vibration.kurtosis', z: 6.1, share: 0.22 },
        { featureId: 'flow.mean', z: -2.4, share: 0.06 },
      ],
    }),
    features: [
      { id: 'vibration.rms', unit: 'g', value: 0.4213 },
      { id: 'vibration.velocity_rms.10_1000', unit: 'mm/s', value: 3.914 },
      { id: 'vibration.kurtosis', unit: '1', value: 7.03 },
      { id: 'vibration.env_snr.bpfo', unit: '1', value: 31.8 },
      { id: 'temperature.mean', unit: 'degC', value: 61.2 },
      { id: 'pressure.mean', unit: 'bar', value: 5.98 },
      { id: 'flow.mean', unit: 'm3/h', value: 41.3 },
      { id: 'run_hours', unit: 'h', value: 0.000_21 },
    ],
  });
}

/** Five machines, one in each state, one of them with remaining life; one sink that is behind. */
export function plantStatus(atMs: number, overrides: Partial<GatewayStatus> = {}): GatewayStatus {
  return {
    gateway: 'line-3',
    version: '0.1.0',
    atMs,
    startedMs: atMs - 3_723_000,
    uptimeS: 3_723,
    ready: true,
    reasons: [],
    machines: [
      machineStatus(atMs),
      machineStatus(atMs, {
        machine: 'engine-07',
        machineClass: 'turbofan',
        state: 'warning',
        healthIndex: 0.46,
        advice: 'Remaining life falls below 50 cycles: plan the overhaul.',
        prognosis: {
          failureMode: 'HPC degradation',
          unit: 'cycles',
          rul: 41,
          rulLow: 29,
          rulHigh: 58,
          confidence: 0.9,
          censored: false,
          model: { ...MODEL, name: 'turbofan-rul' },
        },
        anomaly: null,
      }),
      machineStatus(atMs, {
        machine: 'motor-02',
        machineClass: 'motor',
        state: 'commissioning',
        healthIndex: null,
        scoreState: 'commissioning',
        baselineProgress: 0.56,
        anomaly: null,
      }),
      failingPump(atMs),
      machineStatus(atMs, {
        machine: 'valve-11',
        machineClass: 'valve',
        state: 'unknown',
        healthIndex: null,
        scoreState: 'none',
        reason: 'bad_quality',
        anomaly: null,
        lastWindow: { startMs: atMs - 310_000, endMs: atMs - 300_000, coverage: 0.31, quality: 'bad' },
        features: [],
      }),
    ],
    ingest: {
      address: 'mqtt://127.0.0.1:1883',
      mode: 'embedded',
      ok: true,
      reason: '',
      connections: 25,
      acknowledgedMessages: 1_234_567,
      pendingAcks: 12,
      sessionGaps: 0,
      lastSessionGapMs: null,
      ackLatencyP99Ms: 61.4,
    },
    clock: {
      state: 'synced',
      reason: '',
      hint: '',
      systemOffsetMs: 0,
      steps: 0,
      heldSamples: 0,
      devices: [],
    },
    store: {
      status: 'ok',
      bytes: 48_300_000,
      maxBytes: 1_073_741_824,
      wear: { writtenBytes: 0, observedMs: 0, bytesPerDay: null, lifeDays: null },
      reasons: [],
      notices: [],
      ledger: {
        samples: { accepted: 100, open: 10, windowed: 90, late: 0, duplicate: 0, evicted: 0, quarantined: 0 },
        points: [],
        deadLetteredMessages: 3,
      },
    },
    sinks: [
      sinkStatus({
        state: 'retrying',
        reason: 'connect ECONNREFUSED 10.0.0.7:8086',
        hint: 'Is InfluxDB running and reachable from here?',
        backlogPoints: 18_240,
        backlogEtaS: 94,
      }),
    ],
    models: [
      { ...MODEL, machineClasses: ['pump', 'fan', 'motor'], state: 'ready', reason: '' },
      {
        ...MODEL,
        name: 'turbofan-rul',
        machineClasses: ['turbofan'],
        state: 'disabled',
        reason: 'golden vector 2 differs by 0.4',
      },
    ],
    alarms: [
      {
        machineClass: 'pump',
        machine: 'pump-01',
        condition: 'anomaly',
        transition: 'raised',
        timeMs: atMs - 42_000,
        severity: 'alarm',
        message: 'surprise 7.5 over limit 4.1 in 3 of 5 windows; vibration.env_snr.bpfo z +14.2',
      },
      {
        machineClass: 'fan',
        machine: 'fan-01',
        condition: 'anomaly',
        transition: 'cleared',
        timeMs: atMs - 3_600_000,
        severity: 'warning',
        message: '5 windows in a row below the limit',
      },
    ],
    ...overrides,
  };
}
