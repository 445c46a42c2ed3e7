/** `manifest.json` of a model folder enters, a checked and typed manifest leaves. */

import type { WireTensor, WireTensors } from './tensor.ts';

/** One input feature, in tensor order. */
export interface ManifestFeature {
  readonly id: string;
  readonly unit: string;
  readonly formulaVersion: number;
  readonly params: Readonly<Record<string, number | string>>;
  /** What stands for an undefined value: a number, `nan` (the graph handles it) or `refuse` (no result). */
  readonly impute: number | 'nan' | 'refuse';
  /** Range seen in training. */
  readonly min: number;
  readonly max: number;
}

/** One Mondrian bin: residual quantiles for predictions up to `upTo`. */
export interface ConformalBin {
  /** Upper end of the bin on the predicted value, inclusive; Infinity for the last. */
  readonly upTo: number;
  /** The interval is [prediction - below, prediction + above]; both >= 0, in the unit of the output. */
  readonly below: number;
  readonly above: number;
}

export interface Calibration {
  /** Nominal coverage, 0..1. */
  readonly coverage: number;
  readonly bins: readonly ConformalBin[];
}

/** Outputs the exporter computed, to be reproduced on this device before the model is used. */
export interface GoldenCase {
  readonly inputs: WireTensors;
  readonly outputs: WireTensors;
  /** Largest absolute difference allowed. */
  readonly atol: number;
}

interface ManifestCommon {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of model.onnx, lower-case hex. */
  readonly sha256: string;
  readonly golden: readonly GoldenCase[];
}

/** A learned regressor of remaining useful life. */
export interface RulManifest extends ManifestCommon {
  readonly task: 'rul';
  readonly input: string;
  readonly features: readonly ManifestFeature[];
  readonly featureConfigHash: string;
  readonly window: { readonly sizeMs: number; readonly hopMs: number };
  /** Windows with less coverage get no answer. */
  readonly minCoverage: number;
  readonly output: string;
  readonly unit: string;
  readonly clip: readonly [number, number];
  /** Predictions from here on mean "beyond the horizon". */
  readonly censoredFrom: number;
  readonly failureMode: string;
  readonly calibration: Calibration;
}

/** A detector whose parameters the gateway learns for each machine. */
export interface AnomalyManifest extends ManifestCommon {
  readonly task: 'anomaly';
}

export type ModelManifest = RulManifest | AnomalyManifest;

/** The manifest is not what schema 1 describes; the message names the key. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

const MAX_FEATURES = 4096;

/**
 * @param text UTF-8 JSON, schema 1 (docs/models.md)
 * @throws ManifestError naming the first key that is missing or of the wrong kind
 */
export function parseManifest(text: string): ModelManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ManifestError('manifest.json is not JSON');
  }
  const root = new Section(json, '');
  if (root.number('schema') !== 1) throw new ManifestError('schema must be 1');
  const common = {
    name: root.matching('name', /^[a-z0-9][a-z0-9-]{0,63}$/),
    version: root.matching('version', /^\d+\.\d+\.\d+$/),
    sha256: root.matching('sha256', /^[0-9a-f]{64}$/),
    golden: root.list('golden').map(goldenCase),
  };
  if (common.golden.length === 0) throw new ManifestError('golden must hold at least one case');
  const task = root.string('task');
  if (task === 'anomaly') return { ...common, task };
  if (task === 'rul') return { ...common, task, ...rulPart(root) };
  throw new ManifestError(`task must be rul or anomaly, not ${task}`);
}

function rulPart(root: Section): Omit<RulManifest, keyof ManifestCommon | 'task'> {
  const input = root.section('input');
  const window = input.section('window');
  const [output] = root.list('outputs');
  if (output === undefined) throw new ManifestError('outputs must name the output');
  const [lowest, highest] = output.list('clip', 2).map(({ value }) => value);
  if (typeof lowest !== 'number' || typeof highest !== 'number' || lowest >= highest) {
    throw new ManifestError('outputs[0].clip must be [lowest, highest]');
  }
  const features = input.list('features').map(feature);
  if (features.length === 0 || features.length > MAX_FEATURES) {
    throw new ManifestError(`input.features must hold 1 to ${MAX_FEATURES} features`);
  }
  if (input.string('dtype') !== 'float32') throw new ManifestError('input.dtype must be float32');
  return {
    input: input.string('name'),
    features,
    featureConfigHash: input.matching('feature_config_hash', /^[0-9a-f]{64}$/),
    window: { sizeMs: window.number('size_ms'), hopMs: window.number('hop_ms') },
    minCoverage: input.number('min_coverage'),
    output: output.string('name'),
    unit: output.string('unit'),
    clip: [lowest, highest],
    censoredFrom: output.number('censored_from'),
    failureMode: root.string('failure_mode'),
    calibration: calibration(root.section('calibration')),
  };
}

function feature(section: Section): ManifestFeature {
  const impute = section.member('impute');
  if (typeof impute !== 'number' && impute !== 'nan' && impute !== 'refuse') {
    throw new ManifestError(`${section.path}.impute must be a number, "nan" or "refuse"`);
  }
  const params = section.section('params').value as Record<string, unknown>;
  for (const [key, value] of Object.entries(params)) {
    if (typeof value !== 'number' && typeof value !== 'string') {
      throw new ManifestError(`${section.path}.params.${key} must be a number or a string`);
    }
  }
  return {
    id: section.string('id'),
    unit: section.string('unit'),
    formulaVersion: section.number('formula_version'),
    params: params as Record<string, number | string>,
    impute,
    min: section.number('min'),
    max: section.number('max'),
  };
}

function calibration(section: Section): Calibration {
  const bins = section.list('bins').map((bin): ConformalBin => {
    const upTo = bin.member('up_to');
    return {
      upTo: upTo === null ? Number.POSITIVE_INFINITY : bin.number('up_to'),
      below: bin.number('below'),
      above: bin.number('above'),
    };
  });
  const coverage = section.number('coverage');
  const ascending = bins.every((bin, i) => i === 0 || bin.upTo > bins[i - 1]!.upTo);
  if (bins.at(-1)?.upTo !== Number.POSITIVE_INFINITY || !ascending) {
    throw new ManifestError('calibration.bins must ascend and end with up_to null');
  }
  if (bins.some((bin) => bin.below < 0 || bin.above < 0) || coverage <= 0 || coverage >= 1) {
    throw new ManifestError('calibration needs bins with quantiles >= 0 and a coverage between 0 and 1');
  }
  return { coverage, bins };
}

function goldenCase(section: Section): GoldenCase {
  const atol = section.number('atol');
  const outputs = tensors(section.section('outputs'));
  if (atol < 0 || Object.keys(outputs).length === 0) {
    throw new ManifestError(`${section.path} needs outputs and an atol >= 0`);
  }
  return { inputs: tensors(section.section('inputs')), outputs, atol };
}

/** `{name: {dtype, dims, data}}`; null in data stands for NaN, which JSON lacks. */
function tensors(section: Section): WireTensors {
  const result: Record<string, WireTensor> = {};
  for (const name of Object.keys(section.value as object)) {
    const tensor = section.section(name);
    const dims = tensor.list('dims').map((dim) => dim.value as number);
    const numbers = tensor.list('data').map((item) => (item.value === null ? Number.NaN : item.value));
    const length = dims.reduce((product, dim) => product * dim, 1);
    if (length !== numbers.length || numbers.some((value) => typeof value !== 'number')) {
      throw new ManifestError(`${tensor.path}.data must hold ${length} numbers`);
    }
    const wide = tensor.string('dtype') === 'float64';
    const data = wide ? Float64Array.from(numbers as number[]) : Float32Array.from(numbers as number[]);
    result[name] = { dims, data };
  }
  return result;
}

/** A JSON object together with its place, for messages. */
class Section {
  readonly value: unknown;
  readonly path: string;

  constructor(value: unknown, path: string) {
    this.value = value;
    this.path = path;
  }

  member(key: string): unknown {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) {
      throw new ManifestError(`${this.#name(key)} is missing`);
    }
    return (value as Record<string, unknown>)[key];
  }

  string(key: string): string {
    const value = this.member(key);
    if (typeof value !== 'string') throw new ManifestError(`${this.#name(key)} must be a string`);
    return value;
  }

  matching(key: string, pattern: RegExp): string {
    const value = this.string(key);
    if (!pattern.test(value)) throw new ManifestError(`${this.#name(key)} must match ${pattern.source}`);
    return value;
  }

  number(key: string): number {
    const value = this.member(key);
    if (typeof value !== 'number') throw new ManifestError(`${this.#name(key)} must be a number`);
    return value;
  }

  section(key: string): Section {
    const value = this.member(key);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ManifestError(`${this.#name(key)} must be an object`);
    }
    return new Section(value, this.#name(key));
  }

  list(key: string, length?: number): Section[] {
    const value = this.member(key);
    if (!Array.isArray(value) || (length !== undefined && value.length !== length)) {
      throw new ManifestError(
        `${this.#name(key)} must be a list${length === undefined ? '' : ` of ${length}`}`,
      );
    }
    return value.map((item, i) => new Section(item, `${this.#name(key)}[${i}]`));
  }

  #name(key: string): string {
    return this.path === '' ? key : `${this.path}.${key}`;
  }
}
