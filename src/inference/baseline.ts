/** Feature vectors of one machine enter; commissioning progress or the numbers for its detector leave. */

import type { BaselineConfig, WindowConfig } from '../config/schema.ts';
import type { FeatureGroup, FeatureVector } from '../domain/feature-vector.ts';
import { fullFeatureId } from '../domain/feature-vector.ts';
import type { StateWrite } from '../domain/state-write.ts';
import {
  decodeBaseline,
  decodeJson,
  decodeRow,
  encodeBaseline,
  encodeJson,
  encodeRow,
  type NamedQuantity,
  type StoredBaseline,
} from './baseline-codec.ts';
import { fitBaseline } from './baseline-fit.ts';
import { FeaturePicker } from './feature-row.ts';
import type { ParameterSet } from './tensor.ts';

export interface BaselineOptions {
  readonly machine: string;
  readonly config: BaselineConfig;
  readonly window: WindowConfig;
}

/** What one window means to the baseline. */
export type BaselineStep =
  | { readonly kind: 'commissioning'; readonly progress: number; readonly writes: readonly StateWrite[] }
  | {
      readonly kind: 'monitoring';
      /** Shape [watched], NaN-free: undefined features stand at the machine's own centre. */
      readonly row: Float64Array;
      /** Share of the watched features that are undefined in this window, 0..1. */
      readonly missingShare: number;
      readonly baseline: StoredBaseline;
      readonly parameters: ParameterSet;
      readonly writes: readonly StateWrite[];
    };

/** Rows held while learning; beyond, every second one goes and the pace halves, so that any span fits. */
const MAX_OBSERVATIONS = 600;
const MAX_FEATURES = 512;
/** The detector's rows are padded to a multiple of this, so that machines of similar size share a batch. */
const PADDING = 8;

/** Where a learned baseline is stored. */
export const LEARNED_KEY = 'baseline.model';

const KEY = {
  model: LEARNED_KEY,
  features: 'baseline.features',
  stride: 'baseline.stride',
  recent: 'baseline.recent',
  observation: 'baseline.obs/',
};

interface Timed {
  readonly startMs: number;
  readonly row: Float64Array;
}

/**
 * Commissioning and monitoring of one machine. While commissioning, each good window is kept as a StateWrite that
 * commits with it; when `minWindows` windows span `minSpanMs`, one fit replaces them all, for good: the baseline does
 * not follow the machine afterwards, or it would learn the fault. Decisions depend only on the windows and their
 * order, so a restart at any point continues to the same parameters.
 */
export class Baseline {
  readonly #options: BaselineOptions;
  readonly #wanted: RegExp;
  readonly #hopMs: number;
  #features: NamedQuantity[] = [];
  #picker = new FeaturePicker([]);
  #knownGroups: readonly FeatureGroup[] = [];
  #observations: Timed[] = [];
  #stride = 1;
  #recent: Timed[] = [];
  #stored: StoredBaseline | null = null;
  #parameters: ParameterSet | null = null;

  constructor(options: BaselineOptions) {
    this.#options = options;
    this.#wanted = globs(options.config.features);
    this.#hopMs = options.window.hopMs ?? options.window.sizeMs;
  }

  get fitted(): StoredBaseline | null {
    return this.#stored;
  }

  /** 0..1; 1 once fitted. */
  get progress(): number {
    if (this.#stored) return 1;
    const { minWindows, minSpanMs } = this.#options.config;
    const spanMs = this.#spanMs();
    const bySpan = minSpanMs === 0 ? 1 : spanMs / minSpanMs;
    return Math.max(0, Math.min(1, (this.#observations.length * this.#stride) / minWindows, bySpan));
  }

  /** Takes back what an earlier run persisted. False if the bytes are not understood: that part is learned again. */
  restore(key: string, value: Uint8Array): boolean {
    if (key === KEY.model) {
      const stored = decodeBaseline(value);
      const { sizeMs } = this.#options.window;
      if (stored === null || stored.sizeMs !== sizeMs || stored.hopMs !== this.#hopMs) return false;
      this.#adopt(stored);
      return true;
    }
    const json = key.startsWith(KEY.observation) ? null : decodeJson(value);
    if (key === KEY.features && Array.isArray(json)) this.#setFeatures(json as NamedQuantity[]);
    else if (key === KEY.stride && typeof json === 'number') this.#stride = json;
    else if (key === KEY.recent && Array.isArray(json)) this.#recent = json.map(reviveTimed);
    else if (key.startsWith(KEY.observation)) {
      const row = decodeRow(value);
      if (row === null) return false;
      insert(this.#observations, { startMs: Number(key.slice(KEY.observation.length)), row });
    } else return false;
    return true;
  }

  /** A window of good quality while learning; any that may be scored afterwards. */
  take(vector: FeatureVector, good: boolean): BaselineStep {
    const writes: StateWrite[] = [];
    if (this.#changed(vector.groups)) this.#forget(writes);
    if (this.#stored === null && good) this.#learn(vector, writes);
    if (this.#stored === null) return { kind: 'commissioning', progress: this.progress, writes };
    return this.#monitor(vector, this.#stored, this.#parameters!, writes);
  }

  #learn(vector: FeatureVector, writes: StateWrite[]): void {
    this.#discover(vector.groups, writes);
    if (Math.floor(vector.startMs / this.#hopMs) % this.#stride !== 0) return;
    const row = this.#picker.pick(vector);
    insert(this.#observations, { startMs: vector.startMs, row });
    writes.push(this.#write(`${KEY.observation}${vector.startMs}`, encodeRow(row)));
    const { minWindows, minSpanMs } = this.#options.config;
    if (this.#observations.length > MAX_OBSERVATIONS) this.#thin(writes);
    const enough = this.#observations.length * this.#stride >= minWindows && this.#spanMs() >= minSpanMs;
    if (enough) this.#fit(writes);
  }

  #fit(writes: StateWrite[]): void {
    const p = this.#features.length;
    const rows = this.#observations.map(({ row }) => padded(row, p, Number.NaN));
    const fit =
      p === 0
        ? null
        : fitBaseline(
            rows,
            this.#observations.map(({ startMs }) => startMs),
          );
    const { sizeMs } = this.#options.window;
    const features = this.#features;
    this.#forget(writes);
    if (fit === null) return;
    const stored = { sizeMs, hopMs: this.#hopMs, features: fit.watched.map((j) => features[j]!), fit };
    this.#adopt(stored);
    writes.push(this.#write(KEY.model, encodeBaseline(stored)));
  }

  #monitor(
    vector: FeatureVector,
    baseline: StoredBaseline,
    parameters: ParameterSet,
    writes: StateWrite[],
  ): BaselineStep {
    const picked = this.#picker.pick(vector);
    const missing = picked.reduce((sum, value) => sum + (Number.isNaN(value) ? 1 : 0), 0);
    const filled = picked.map((value, j) => (Number.isNaN(value) ? baseline.fit.center[j]! : value));
    const row = this.#smoothed({ startMs: vector.startMs, row: filled }, writes);
    return {
      kind: 'monitoring',
      row,
      missingShare: missing / Math.max(1, picked.length),
      baseline,
      parameters,
      writes,
    };
  }

  /** Mean of the last `smoothingWindows` rows up to and including this one. */
  #smoothed(current: Timed, writes: StateWrite[]): Float64Array {
    const { smoothingWindows } = this.#options.config;
    if (smoothingWindows <= 1) return current.row;
    insert(this.#recent, current);
    const last = this.#recent.filter(({ startMs }) => startMs <= current.startMs).slice(-smoothingWindows);
    this.#recent = this.#recent.slice(-smoothingWindows);
    writes.push(
      this.#write(KEY.recent, encodeJson(this.#recent.map(({ startMs, row }) => [startMs, ...row]))),
    );
    return current.row.map((_, j) => last.reduce((sum, { row }) => sum + row[j]!, 0) / last.length);
  }

  /** Appends features not seen before; channels of a machine may appear one after the other. */
  #discover(groups: readonly FeatureGroup[], writes: StateWrite[]): void {
    const known = new Set(this.#features.map(({ id }) => id));
    const added: NamedQuantity[] = [];
    for (const group of groups) {
      group.specs.forEach((spec, index) => {
        const id = fullFeatureId(group.channel, spec.id);
        if (known.has(id) || !this.#wanted.test(id)) return;
        if (known.size + added.length < MAX_FEATURES)
          added.push({ id, signature: signatureOf(group, index) });
      });
    }
    if (added.length === 0) return;
    this.#setFeatures([...this.#features, ...added]);
    writes.push(this.#write(KEY.features, encodeJson(this.#features)));
  }

  /** True if a feature of a known id is another quantity than the one learned: unit, formula or parameter changed. */
  #changed(groups: readonly FeatureGroup[]): boolean {
    if (
      groups.length === this.#knownGroups.length &&
      groups.every(
        (g, i) => g.specs === this.#knownGroups[i]!.specs && g.channel === this.#knownGroups[i]!.channel,
      )
    )
      return false;
    this.#knownGroups = groups;
    const learned = new Map(this.#features.map(({ id, signature }) => [id, signature]));
    return groups.some((group) =>
      group.specs.some((spec, index) => {
        const signature = learned.get(fullFeatureId(group.channel, spec.id));
        return signature !== undefined && signature !== signatureOf(group, index);
      }),
    );
  }

  #thin(writes: StateWrite[]): void {
    this.#stride *= 2;
    const kept: Timed[] = [];
    for (const observation of this.#observations) {
      if (Math.floor(observation.startMs / this.#hopMs) % this.#stride === 0) kept.push(observation);
      else writes.push(this.#write(`${KEY.observation}${observation.startMs}`, null));
    }
    this.#observations = kept;
    writes.push(this.#write(KEY.stride, encodeJson(this.#stride)));
  }

  #forget(writes: StateWrite[]): void {
    for (const { startMs } of this.#observations)
      writes.push(this.#write(`${KEY.observation}${startMs}`, null));
    for (const key of [KEY.model, KEY.features, KEY.stride, KEY.recent]) writes.push(this.#write(key, null));
    this.#observations = [];
    this.#recent = [];
    this.#stride = 1;
    this.#stored = null;
    this.#parameters = null;
    this.#setFeatures([]);
  }

  #adopt(stored: StoredBaseline): void {
    this.#stored = stored;
    this.#setFeatures([...stored.features]);
    this.#parameters = parameterSet(this.#options.machine, stored);
  }

  #setFeatures(features: NamedQuantity[]): void {
    this.#features = features;
    this.#picker = new FeaturePicker(features.map(({ id }) => id));
    this.#knownGroups = [];
  }

  #spanMs(): number {
    const [first] = this.#observations;
    return first === undefined ? 0 : this.#observations.at(-1)!.startMs - first.startMs + this.#hopMs;
  }

  #write(key: string, value: Uint8Array | null): StateWrite {
    return { machine: this.#options.machine, key, value };
  }
}

/** Width of the detector's rows for so many watched features. */
export function paddedWidth(watched: number): number {
  return Math.ceil(watched / PADDING) * PADDING;
}

/** Shape [width]: the row, then the filling. */
export function padded(row: Float64Array, width: number, filling: number): Float64Array {
  const result = new Float64Array(width).fill(filling);
  result.set(row);
  return result;
}

/** Center and scale stay float64: subtracting large, nearly equal numbers in float32 would lose the difference. */
function parameterSet(machine: string, { fit }: StoredBaseline): ParameterSet {
  const w = fit.center.length;
  const width = paddedWidth(w);
  const precision = new Float32Array(width * width);
  for (let i = 0; i < w; i++) {
    for (let j = 0; j < w; j++) precision[i * width + j] = fit.precision[i * w + j]!;
  }
  return {
    key: `${machine}@${fit.fromMs}-${fit.toMs}`,
    tensors: {
      center: { dims: [width], data: padded(fit.center, width, 0) },
      scale: { dims: [width], data: padded(fit.scale, width, 1) },
      precision: { dims: [width, width], data: precision },
    },
  };
}

function insert(list: Timed[], item: Timed): void {
  let at = list.length;
  while (at > 0 && list[at - 1]!.startMs > item.startMs) at -= 1;
  if (at > 0 && list[at - 1]!.startMs === item.startMs) list[at - 1] = item;
  else list.splice(at, 0, item);
}

function reviveTimed(json: unknown): Timed {
  const [startMs, ...row] = json as number[];
  return { startMs: startMs!, row: Float64Array.from(row) };
}

function signatureOf(group: FeatureGroup, index: number): string {
  const { unit, formulaVersion, params } = group.specs[index]!;
  const sorted = Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([unit, formulaVersion, sorted]);
}

function globs(patterns: readonly string[]): RegExp {
  const alternatives = patterns.map((pattern) =>
    pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.'),
  );
  return new RegExp(`^(?:${alternatives.join('|')})$`);
}
