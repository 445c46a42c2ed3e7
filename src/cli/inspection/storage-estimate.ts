/** A configuration enters; how much its results take on disk, and how long an outage fits, leaves. */

import type { Config, MachineClassConfig } from '../../config/schema.ts';
import type { Assessment } from '../../domain/assessment.ts';
import type { FeatureVector } from '../../domain/feature-vector.ts';
import type { Point } from '../../domain/point.ts';
import { assessmentPoint, featurePoints, healthPoint } from '../../domain/points-of.ts';
import { FeatureExtractor } from '../../features/extractor.ts';
import { encodeRow, OUTBOX_ROW_OVERHEAD } from '../../store/outbox-codec.ts';
import { RandomSource } from '../simulator/random.ts';

const MS_PER_DAY = 86_400_000;
/** Of the database, for what waits to be delivered; the rest is journal, state and room to work. */
const OUTBOX_SHARE = 0.75;

export interface ClassEstimate {
  readonly machineClass: string;
  readonly machines: number;
  readonly featuresPerWindow: number;
  readonly windowsPerDay: number;
  readonly bytesPerWindow: number;
  readonly bytesPerDay: number;
}

export interface StorageEstimate {
  readonly classes: readonly ClassEstimate[];
  readonly bytesPerDay: number;
  readonly maxBytes: number;
  /** How long all sinks may be away before the oldest results go: by size or by `store.maxAgeDays`. */
  readonly outageDays: number;
}

/**
 * Encodes made-up windows with the store's own codec, so the numbers are what one commit per window costs; many
 * machines in one commit cost less. `*` counts no channel.
 * @param machines how many of each class; default is the ids that are spelled out, or 1
 */
export function estimateStorage(config: Config, machines: Readonly<Record<string, number>>): StorageEstimate {
  const classes = Object.entries(config.machineClasses).map(([name, classConfig]) =>
    estimateClass(name, classConfig, machines[name] ?? spelledOut(classConfig)),
  );
  const bytesPerDay = classes.reduce((sum, entry) => sum + entry.bytesPerDay, 0);
  const bySize =
    bytesPerDay === 0 ? Number.POSITIVE_INFINITY : (config.store.maxBytes * OUTBOX_SHARE) / bytesPerDay;
  return {
    classes,
    bytesPerDay,
    maxBytes: config.store.maxBytes,
    outageDays: Math.min(bySize, config.store.maxAgeDays),
  };
}

/** Machines whose ids are written out, at least one. */
export function spelledOut(classConfig: MachineClassConfig): number {
  return Math.max(1, classConfig.machines.filter((id) => !/[*?]/.test(id)).length);
}

function estimateClass(
  machineClass: string,
  classConfig: MachineClassConfig,
  machines: number,
): ClassEstimate {
  const schema = new FeatureExtractor(classConfig).schema();
  const windowsPerDay = MS_PER_DAY / (classConfig.window.hopMs ?? classConfig.window.sizeMs);
  const bytesPerWindow = windowBytes(machineClass, classConfig, schema);
  return {
    machineClass,
    machines,
    featuresPerWindow: schema.reduce((sum, { specs }) => sum + specs.length, 0),
    windowsPerDay,
    bytesPerWindow,
    bytesPerDay: machines * windowsPerDay * bytesPerWindow,
  };
}

function windowBytes(
  machineClass: string,
  classConfig: MachineClassConfig,
  schema: ReturnType<FeatureExtractor['schema']>,
): number {
  const random = new RandomSource(1, machineClass);
  const about = {
    machineClass,
    machine: `${machineClass}-001`,
    startMs: 1.7e12,
    endMs: 1.7e12 + 1000,
    revision: 0,
  };
  const vector: FeatureVector = {
    ...about,
    coverage: 1,
    quality: 'good',
    groups: schema.map(({ channel, specs }) => ({
      channel,
      specs,
      values: Float64Array.from(specs, () => random.normal()),
      coverage: 1,
      quality: 'good',
    })),
  };
  const rows: [Point['pointClass'], Point[]][] = [['aggregate', featurePoints(vector)]];
  if (classConfig.baseline.enabled || classConfig.models.length > 0) {
    const health = { ...about, state: 'healthy' as const, healthIndex: random.uniform(), advice: '' };
    rows.push(['assessment', [assessmentPoint(madeUpAssessment(about, random)), healthPoint(health, 2)]]);
  }
  return rows
    .filter(([, points]) => points.length > 0)
    .reduce(
      (sum, [pointClass, points]) => sum + encodeRow(pointClass, points).body.length + OUTBOX_ROW_OVERHEAD,
      0,
    );
}

function madeUpAssessment(
  about: Pick<FeatureVector, 'machineClass' | 'machine' | 'startMs' | 'endMs' | 'revision'>,
  random: RandomSource,
): Assessment {
  const model = { name: 'machine-baseline', version: '1.0.0', sha256: '0'.repeat(64) };
  const number = () => random.uniform();
  return {
    ...about,
    scoreState: 'scored',
    reason: '',
    baselineProgress: 1,
    anomaly: {
      score: number(),
      pValue: number(),
      surprise: number(),
      contributions: [{ featureId: 'channel.feature', z: number(), share: 1 }],
      model,
    },
    prognosis: {
      failureMode: 'wear',
      unit: 'h',
      rul: number(),
      rulLow: number(),
      rulHigh: number(),
      confidence: 0.9,
      censored: false,
      model,
    },
    extrapolating: false,
  };
}
