import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigInput, configSchema } from '../../src/config/schema.ts';
import type { AssessmentOutcome } from '../../src/domain/assessment.ts';
import type { FeatureVector } from '../../src/domain/feature-vector.ts';
import { Assessor } from '../../src/inference/assessor.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { compileInferenceWorker } from '../support/compiled-inference-worker.ts';
import { CONTRACT, writeModelFolder } from '../support/model-folder.ts';
import { floatTensor, integerTensor, onnxModel } from '../support/onnx-builder.ts';
import { Gaussian, healthyRow, specsOf, vectorOf } from '../unit/inference/vectors.ts';

const SHIPPED = resolve(import.meta.dirname, '../../models');
const SPECS = specsOf(['a', 'b']);

let workerUrl: URL;
let modelsDir: string;
let assessor: Assessor | null = null;

beforeAll(() => {
  workerUrl = compileInferenceWorker();
});
beforeEach(() => {
  modelsDir = mkdtempSync(join(tmpdir(), 'millwright-models-'));
});
afterEach(async () => {
  await assessor?.stop();
  assessor = null;
  rmSync(modelsDir, { recursive: true });
});

type ClassInput = Partial<ConfigInput['machineClasses'][string]>;

async function started(
  classes: Readonly<Record<string, ClassInput>>,
  inference: ConfigInput['inference'] = {},
  dir = modelsDir,
): Promise<Assessor> {
  const machineClasses = Object.fromEntries(
    Object.entries(classes).map(([name, change]) => [
      name,
      { topics: ['t/{machine}/{channel}'], channels: { '*': {} }, window: { sizeMs: 10_000 }, ...change },
    ]),
  );
  const config = configSchema.parse({ machineClasses, inference });
  assessor = new Assessor({
    classes: config.machineClasses,
    modelsDir: dir,
    config: config.inference,
    describeFeatures: () => CONTRACT,
    logger: SILENT,
    monotonicMs: () => performance.now(),
    workerUrl,
  });
  await assessor.start();
  return assessor;
}

function vector(startMs: number, values: readonly number[], change: object = {}): FeatureVector {
  return vectorOf({ startMs, specs: SPECS, values, ...change });
}

function assess(target: Assessor, input: FeatureVector): Promise<AssessmentOutcome> {
  return new Promise((done) => target.submit(input, done));
}

async function until(condition: () => boolean, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('condition not met in time');
    await sleep(20);
  }
}

const LINEAR = { models: [{ name: 'linear' }] };

/** rul = 2 a + 3 b after about a second of multiplying matrices. */
function slowModel(): Uint8Array {
  const chain = Array.from({ length: 12 }, (_, i) => ({
    operator: 'MatMul',
    inputs: [i === 0 ? 'big' : `m${i - 1}`, 'big'],
    outputs: [`m${i}`],
  }));
  return onnxModel({
    width: 2,
    output: 'rul',
    nodes: [
      { operator: 'ReduceMean', inputs: ['features'], outputs: ['mean'] },
      { operator: 'Mul', inputs: ['mean', 'zero'], outputs: ['nothing'] },
      { operator: 'Expand', inputs: ['nothing', 'shape'], outputs: ['big'] },
      ...chain,
      { operator: 'ReduceMax', inputs: ['m11'], outputs: ['zeroed'] },
      { operator: 'MatMul', inputs: ['features', 'w'], outputs: ['answer'] },
      { operator: 'Add', inputs: ['answer', 'zeroed'], outputs: ['rul'] },
    ],
    initializers: [
      floatTensor('w', [2, 1], [2, 3]),
      floatTensor('zero', [1], [0]),
      integerTensor('shape', [2], [1400, 1400]),
    ],
  });
}

/** rul = ln(2 a + 3 b): not a number below zero. */
function logModel(): Uint8Array {
  return onnxModel({
    width: 2,
    output: 'rul',
    nodes: [
      { operator: 'MatMul', inputs: ['features', 'w'], outputs: ['sum'] },
      { operator: 'Log', inputs: ['sum'], outputs: ['rul'] },
    ],
    initializers: [floatTensor('w', [2, 1], [2, 3])],
  });
}

describe.each(['process', 'thread'] as const)('models in a %s of their own', (isolation) => {
  it('score, with calibrated interval, identity and censoring', async () => {
    const sha256 = writeModelFolder({ modelsDir });
    const target = await started({ pump: LINEAR }, { isolation });
    const { assessment } = await assess(target, vector(0, [5, 4]));
    expect(assessment).toMatchObject({
      scoreState: 'scored',
      reason: '',
      extrapolating: false,
      baselineProgress: 1,
    });
    expect(assessment.prognosis).toEqual({
      failureMode: 'wear',
      unit: 'cycles',
      rul: 22,
      rulLow: 12,
      rulHigh: 42,
      confidence: 0.9,
      censored: false,
      model: { name: 'linear', version: '1.0.0', sha256 },
    });
    const far = (await assess(target, vector(1, [15.5, 31]))).assessment;
    expect(far.extrapolating).toBe(true);
    expect(far.prognosis).toMatchObject({ rul: 100, rulHigh: 100, censored: true });
  });

  it('give every row of a batch what it gets alone, in order per machine', async () => {
    writeModelFolder({ modelsDir });
    const target = await started({ pump: LINEAR }, { isolation });
    const seen = new Map<string, number[]>();
    const rul: number[] = [];
    await Promise.all(
      Array.from({ length: 700 }, (_, i) => {
        const machine = `m${i % 7}`;
        const input = vector(i, [(i % 31) / 7, (i % 13) / 3], { machine });
        return assess(target, input).then(({ assessment }) => {
          seen.set(machine, [...(seen.get(machine) ?? []), assessment.startMs]);
          rul[i] = assessment.prognosis!.rul;
        });
      }),
    );
    for (const order of seen.values()) expect(order).toEqual([...order].sort((a, b) => a - b));
    const runs = target.metrics().find(({ name }) => name === 'millwright_inference_runs_total')!.value;
    expect(runs).toBeLessThan(20);
    for (const i of [0, 3, 99, 500, 699]) {
      const alone = await assess(target, vector(1000 + i, [(i % 31) / 7, (i % 13) / 3], { machine: 'x' }));
      expect(alone.assessment.prognosis!.rul).toBe(rul[i]);
    }
  });

  it('stop while a run is under way without taking anything with them', async () => {
    writeModelFolder({ modelsDir, name: 'slow', model: slowModel() });
    const target = await started({ pump: { models: [{ name: 'slow' }] } }, { isolation, deadlineMs: 60_000 });
    await until(() => target.models()[0]!.state === 'ready', 30_000);
    const outcome = assess(target, vector(0, [1, 2]));
    await sleep(50);
    await target.stop();
    expect((await outcome).assessment).toMatchObject({ scoreState: 'none', reason: 'stopping' });
    expect(target.hostState).toBe('stopped');
  });
});

describe('what a vector gets when its model cannot answer', () => {
  it('is delivered at the deadline while a slow model works, and later vectors score', async () => {
    writeModelFolder({ modelsDir, name: 'slow', model: slowModel() });
    const target = await started({ pump: { models: [{ name: 'slow' }] } }, { deadlineMs: 100 });
    await until(() => target.models()[0]!.state === 'ready', 30_000);
    const startedMs = performance.now();
    const { assessment } = await assess(target, vector(0, [1, 2]));
    expect(assessment).toMatchObject({ scoreState: 'none', reason: 'deadline', prognosis: null });
    expect(performance.now() - startedMs).toBeLessThan(600);
  });

  it('names a row that is not a number without spoiling the rest of its batch', async () => {
    writeModelFolder({ modelsDir, name: 'log', model: logModel(), golden: Math.log(8) });
    const target = await started({ pump: { models: [{ name: 'log' }] } });
    const rows = [
      [1, 2],
      [-4, -4],
      [2, 2],
    ];
    const results = await Promise.all(
      rows.map((values, i) => assess(target, vector(0, values, { machine: `m${i}` }))),
    );
    expect(results.map(({ assessment }) => assessment.reason)).toEqual(['', 'nan_output', '']);
  });

  it('says bad_quality, low_coverage or missing_feature before any model runs', async () => {
    writeModelFolder({ modelsDir });
    const target = await started({ pump: LINEAR });
    const reason = async (input: FeatureVector) => (await assess(target, input)).assessment.reason;
    expect(await reason(vector(0, [1, 2], { quality: 'bad' }))).toBe('bad_quality');
    expect(await reason(vector(1, [1, 2], { coverage: 0.4, quality: 'uncertain' }))).toBe('low_coverage');
    expect(await reason(vector(2, [1, Number.NaN]))).toBe('missing_feature');
    expect(await reason(vector(3, [1, 2]))).toBe('');
  });

  it('gives the oldest up when the queue is full', async () => {
    writeModelFolder({ modelsDir, name: 'slow', model: slowModel() });
    const target = await started(
      { pump: { models: [{ name: 'slow' }] } },
      { maxQueue: 5, deadlineMs: 60_000 },
    );
    await until(() => target.models()[0]!.state === 'ready', 30_000);
    const reasons: string[] = [];
    for (let i = 0; i < 12; i++) {
      target.submit(vector(i, [1, 2], { machine: `m${i}` }), ({ assessment }) =>
        reasons.push(assessment.reason),
      );
    }
    expect(reasons).toEqual(Array.from({ length: 7 }, () => 'queue_full'));
  });
});

describe('a model that fails its checks disables itself and nothing else', () => {
  it('when it gives other numbers here than at export', async () => {
    writeModelFolder({ modelsDir, golden: 8.01 });
    const target = await started({ pump: LINEAR });
    expect(target.models()[0]).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('golden case 0'),
    });
    expect((await assess(target, vector(0, [1, 2]))).assessment.reason).toBe('model_down');
  });

  it('when the runtime refuses the graph', async () => {
    const model = onnxModel({
      width: 2,
      output: 'rul',
      nodes: [{ operator: 'NoSuchOperator', inputs: ['features'], outputs: ['rul'] }],
    });
    writeModelFolder({ modelsDir, model });
    const target = await started({ pump: LINEAR });
    expect(target.models()[0]).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('NoSuchOperator'),
    });
  });

  it('when it was trained on other features, while another class goes on', async () => {
    writeModelFolder({ modelsDir });
    writeModelFolder({ modelsDir, name: 'foreign', manifest: { input: foreignInput() } });
    const target = await started({ pump: LINEAR, fan: { models: [{ name: 'foreign' }] } });
    expect(target.models().map(({ state }) => state)).toEqual(['ready', 'failed']);
    expect(target.models()[1]!.reason).toContain('c.other');
    expect((await assess(target, vector(0, [1, 2]))).assessment.scoreState).toBe('scored');
  });

  it('and the version before it serves', async () => {
    writeModelFolder({ modelsDir, version: '1.0.0' });
    writeModelFolder({ modelsDir, version: '1.1.0', golden: 9 });
    writeModelFolder({ modelsDir, version: '1.2.0', manifest: { sha256: '0'.repeat(64) } });
    const target = await started({ pump: LINEAR });
    expect(target.models()[0]).toMatchObject({ state: 'ready', version: '1.0.0' });
    expect(target.models()[0]!.reason).toContain('1.2.0');
    expect(target.models()[0]!.reason).toContain('1.1.0');
  });
});

describe('the inference process', () => {
  it('is started again after SIGKILL; what comes meanwhile goes on without scores', async () => {
    writeModelFolder({ modelsDir });
    const target = await started({ pump: LINEAR });
    process.kill(target.processId!, 'SIGKILL');
    await until(() => target.hostState === 'restarting', 2_000);
    expect((await assess(target, vector(0, [1, 2]))).assessment).toMatchObject({
      scoreState: 'none',
      reason: 'model_down',
    });
    await until(() => target.models()[0]!.state === 'ready', 10_000);
    expect((await assess(target, vector(1, [1, 2]))).assessment.prognosis!.rul).toBe(8);
    expect(target.metrics().find(({ name }) => name === 'millwright_inference_restarts_total')!.value).toBe(
      1,
    );
  });

  it('is not started for the model that kills it a fourth time; the others serve on', async () => {
    writeModelFolder({ modelsDir });
    writeModelFolder({ modelsDir, name: 'slow', model: slowModel() });
    const target = await started({ pump: LINEAR, fan: { models: [{ name: 'slow' }] } }, { deadlineMs: 300 });
    for (let crash = 0; crash < 3; crash++) {
      await until(() => target.models().every(({ state }) => state === 'ready'), 40_000);
      target.submit(vector(crash, [1, 2], { machineClass: 'fan', machine: 'f1' }), () => {});
      await sleep(150);
      process.kill(target.processId!, 'SIGKILL');
      await until(() => target.hostState !== 'up', 2_000);
    }
    await until(() => target.models()[0]!.state === 'ready', 20_000);
    expect(target.models()[1]).toMatchObject({ state: 'failed', reason: expect.stringContaining('3 times') });
    expect((await assess(target, vector(9, [1, 2]))).assessment.scoreState).toBe('scored');
  });

  it('is given up after five crashes in ten minutes, and every vector still comes back', async () => {
    writeModelFolder({ modelsDir });
    const target = await started({ pump: LINEAR });
    for (let crash = 0; crash < 5; crash++) {
      await until(() => target.hostState === 'up', 20_000);
      process.kill(target.processId!, 'SIGKILL');
      await until(() => target.hostState !== 'up', 2_000);
    }
    expect(target.hostState).toBe('disabled');
    expect((await assess(target, vector(0, [1, 2]))).assessment.reason).toBe('model_down');
  });

  it('is killed and replaced when it stops answering', async () => {
    writeModelFolder({ modelsDir });
    const target = await started({ pump: LINEAR }, { deadlineMs: 100 });
    const frozen = target.processId!;
    process.kill(frozen, 'SIGSTOP');
    expect((await assess(target, vector(0, [1, 2]))).assessment.reason).toBe('deadline');
    await until(() => target.processId !== null && target.processId !== frozen, 20_000);
    await until(() => target.models()[0]!.state === 'ready', 10_000);
    expect((await assess(target, vector(1, [1, 2]))).assessment.scoreState).toBe('scored');
  });
});

describe('a machine of its own baseline', () => {
  const P = 6;
  const specs = specsOf(Array.from({ length: P }, (_, j) => `f${j}`));
  const input = (startMs: number, values: ArrayLike<number>, machine = 'm1') =>
    vectorOf({ startMs, specs, values, machine });
  /** One false alarm in 30 days of windows of 10 s. */
  const P_LIMIT = 10_000 / 2_592_000_000;
  const PUMP = { pump: { baseline: { enabled: true, minWindows: 60, minSpanMs: 0 } } };

  it('is learned, scores healthy windows as such, and names the feature of a fault', async () => {
    const target = await started(PUMP, {}, SHIPPED);
    const random = new Gaussian(3);
    for (let i = 0; i < 60; i++) {
      const { assessment, stateWrites } = await assess(target, input(i * 10_000, healthyRow(random, P)));
      if (i < 59) expect(assessment).toMatchObject({ scoreState: 'commissioning', anomaly: null });
      if (i === 20) expect(stateWrites.map(({ key }) => key)).toEqual(['baseline.obs/200000']);
      if (i === 20) expect(assessment.baselineProgress).toBeCloseTo(21 / 60, 10);
    }
    const healthy = (await assess(target, input(700_000, healthyRow(random, P)))).assessment;
    expect(healthy.scoreState).toBe('scored');
    expect(healthy.anomaly!.pValue).toBeGreaterThan(0.01);
    const faultyRow = healthyRow(random, P).map((value, j) => (j === 4 ? value + 40 : value));
    const { anomaly } = (await assess(target, input(710_000, faultyRow))).assessment;
    expect(anomaly!.pValue).toBeLessThan(10 * P_LIMIT);
    expect(anomaly!.contributions[0]!.featureId).toBe('c.f4');
    expect(anomaly!.contributions[0]!.z).toBeGreaterThan(5);
    expect(anomaly!.surprise).toBeCloseTo(-Math.log10(anomaly!.pValue), 12);
  });

  it('tells how far it is in windows that it can not learn from, too', async () => {
    const target = await started(PUMP, {}, SHIPPED);
    const random = new Gaussian(5);
    const bad = async (i: number) => {
      const vector = vectorOf({ startMs: i * 10_000, specs, values: healthyRow(random, P), quality: 'bad' });
      return (await assess(target, { ...vector, machine: 'm1' })).assessment;
    };
    expect(await bad(0)).toMatchObject({ scoreState: 'none', reason: 'bad_quality', baselineProgress: 0 });
    for (let i = 1; i <= 30; i++) await assess(target, input(i * 10_000, healthyRow(random, P)));
    expect((await bad(31)).baselineProgress).toBe(0.5);
    for (let i = 32; i < 62; i++) await assess(target, input(i * 10_000, healthyRow(random, P)));
    expect((await bad(62)).baselineProgress).toBe(1);
  });

  it('continues after a restart with the very same scores', async () => {
    const random = new Gaussian(4);
    const rows = Array.from({ length: 70 }, () => healthyRow(random, P));
    const store = new Map<string, Uint8Array>();
    const scores: number[][] = [[], []];
    for (const run of [0, 1]) {
      const target = await started(PUMP, {}, SHIPPED);
      if (run === 1) for (const [key, value] of store) target.restore('m1', key, value);
      for (const [i, row] of rows.entries()) {
        if (run === 1 && i < 40) continue;
        const { assessment, stateWrites } = await assess(target, input(i * 10_000, row));
        if (assessment.anomaly) scores[run]!.push(assessment.anomaly.score, assessment.anomaly.pValue);
        if (run === 0 && i < 40) for (const { key, value } of stateWrites) if (value) store.set(key, value);
      }
      await target.stop();
    }
    expect(scores[0]!.length).toBeGreaterThan(10);
    expect(scores[1]).toEqual(scores[0]);
  });

  it('does not mix machines of one batch up', async () => {
    const target = await started(PUMP, {}, SHIPPED);
    const machines = Array.from({ length: 12 }, (_, m) => ({
      name: `m${m}`,
      random: new Gaussian(m + 50),
      offset: 1e5 * m,
    }));
    const row = (m: (typeof machines)[number]) => healthyRow(m.random, P).map((value) => value + m.offset);
    for (let i = 0; i < 60; i++) {
      await Promise.all(machines.map((m) => assess(target, input(i * 10_000, row(m), m.name))));
    }
    const results = await Promise.all(machines.map((m) => assess(target, input(800_000, row(m), m.name))));
    for (const { assessment } of results) expect(assessment.anomaly!.pValue).toBeGreaterThan(1e-3);
  });
});

function foreignInput(): object {
  const features = [
    { id: 'c.other', unit: '1', formula_version: 1, params: {}, impute: 'refuse', min: 0, max: 1 },
  ];
  return {
    ...{
      name: 'features',
      dtype: 'float32',
      features,
      feature_config_hash: 'a'.repeat(64),
      min_coverage: 0.5,
    },
    window: { size_ms: 10_000, hop_ms: 10_000 },
  };
}
