/** Windows of one machine class -> feature vectors, in the order and with the names the configuration fixes. */

import type { ChannelConfig, MachineClassConfig } from '../config/schema.ts';
import type { FeatureGroup, FeatureSpec, FeatureVector } from '../domain/feature-vector.ts';
import type { ChannelSlice, Window } from '../domain/window.ts';
import { bearingCondition } from './bearing-condition.ts';
import {
  configurationError,
  type MachineFeatureSet,
  type ScalarFeatureSet,
  type WaveformFeatureSet,
} from './feature-set.ts';
import type { FeatureState } from './feature-state.ts';
import { FftPlans } from './fft.ts';
import { isoSeverity } from './iso-severity.ts';
import { lastValue, processBasic } from './process-basic.ts';
import { processTrend } from './process-trend.ts';
import { usage } from './usage.ts';
import { vibrationBasic } from './vibration-basic.ts';
import { vibrationSpectral } from './vibration-spectral.ts';
import { WaveformSignal } from './waveform-signal.ts';

/** Features of one channel as configured; channel '' holds those of the machine as a whole. */
export interface FeatureSchemaGroup {
  readonly channel: string;
  readonly specs: readonly FeatureSpec[];
}

/** The sets of one channel, of the kind its samples are. */
interface ChannelPlan {
  readonly specs: readonly FeatureSpec[];
  readonly waveformSets: readonly WaveformFeatureSet[];
  readonly scalarSets: readonly ScalarFeatureSet[];
}

const WILDCARD = '*';

/**
 * Computes the feature vectors of one machine class, for any number of machines: what carries over from window to
 * window is the caller's `FeatureState`, one per machine. Equal windows and states give equal bits, whatever was
 * computed before; only scratch memory is shared.
 */
export class FeatureExtractor {
  readonly #channels = new Map<string, ChannelPlan>();
  readonly #wildcard: ChannelPlan | null;
  readonly #machineSet: MachineFeatureSet | null;
  readonly #signal: WaveformSignal;
  /** True if a window's features depend on earlier windows, so that the state must be kept. */
  readonly stateful: boolean;

  /** @throws GatewayError MW_CONFIG_INVALID naming the key, for a set its channel can never give a value for */
  constructor(classConfig: MachineClassConfig) {
    const plans = new FftPlans();
    this.#signal = new WaveformSignal(plans);
    let wildcard: ChannelPlan | null = null;
    let hasTrend = false;
    for (const [channel, config] of Object.entries(classConfig.channels)) {
      const plan = planChannel(channel, config, classConfig, plans);
      if (channel === WILDCARD) wildcard = plan;
      else this.#channels.set(channel, plan);
      hasTrend ||= config.features.includes('proc.trend');
    }
    this.#wildcard = wildcard;
    this.#machineSet = classConfig.usage ? usage(classConfig) : null;
    this.stateful = hasTrend || classConfig.usage;
  }

  /**
   * Declared channels that have features, in the order of the configuration, then the machine's own. Channels that
   * only the wildcard covers are not known before their data comes.
   */
  schema(): FeatureSchemaGroup[] {
    const groups: FeatureSchemaGroup[] = [];
    for (const [channel, { specs }] of this.#channels) {
      if (specs.length > 0) groups.push({ channel, specs });
    }
    if (this.#machineSet !== null) groups.push({ channel: '', specs: this.#machineSet.specs });
    return groups;
  }

  /**
   * The groups of `schema()`, in that order, with those of wildcard channels (in the window's order) before the
   * machine's own. A declared channel without data is there with coverage 0, quality bad and every value NaN.
   *
   * @param state of this window's machine; changed in place when `stateful`
   */
  extract(window: Window, state: FeatureState): FeatureVector {
    const slices = new Map<string, ChannelSlice>();
    for (const slice of window.slices) slices.set(slice.channel, slice);
    const groups: FeatureGroup[] = [];
    for (const [channel, plan] of this.#channels) {
      if (plan.specs.length === 0) continue;
      const slice = slices.get(channel);
      groups.push(slice === undefined ? missing(channel, plan) : this.#compute(slice, plan, window, state));
    }
    if (this.#wildcard !== null && this.#wildcard.specs.length > 0) {
      for (const slice of window.slices) {
        if (this.#channels.has(slice.channel)) continue;
        groups.push(this.#compute(slice, this.#wildcard, window, state));
      }
    }
    if (this.#machineSet !== null) groups.push(machineGroup(this.#machineSet, window, state));
    const { machineClass, machine, startMs, endMs, revision, coverage, quality } = window;
    return { machineClass, machine, startMs, endMs, revision, coverage, quality, groups };
  }

  #compute(slice: ChannelSlice, plan: ChannelPlan, window: Window, state: FeatureState): FeatureGroup {
    const { channel, coverage, quality } = slice;
    const values = undefinedValues(plan.specs);
    let at = 0;
    if (slice.kind === 'scalar') {
      for (const set of plan.scalarSets) {
        set.compute(slice, window, state, values, at);
        at += set.specs.length;
      }
    } else if (this.#signal.load(slice)) {
      for (const set of plan.waveformSets) {
        set.compute(this.#signal, values, at);
        at += set.specs.length;
      }
    }
    return { channel, specs: plan.specs, values: finiteOnly(values), coverage, quality };
  }
}

function machineGroup(set: MachineFeatureSet, window: Window, state: FeatureState): FeatureGroup {
  const values = undefinedValues(set.specs);
  set.compute(window, state, values, 0);
  const { coverage, quality } = window;
  return { channel: '', specs: set.specs, values: finiteOnly(values), coverage, quality };
}

function missing(channel: string, { specs }: ChannelPlan): FeatureGroup {
  return { channel, specs, values: undefinedValues(specs), coverage: 0, quality: 'bad' };
}

function undefinedValues(specs: readonly FeatureSpec[]): Float64Array {
  return new Float64Array(specs.length).fill(Number.NaN);
}

/** Sums of huge samples can overflow: what is not a number any more is undefined, never Infinity. */
function finiteOnly(values: Float64Array): Float64Array {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) values[i] = Number.NaN;
  }
  return values;
}

function planChannel(
  channel: string,
  config: ChannelConfig,
  classConfig: MachineClassConfig,
  plans: FftPlans,
): ChannelPlan {
  const sets = [...new Set(config.features)];
  for (const set of sets) requireKind(channel, config.kind, set);
  if (config.kind === 'scalar') {
    const scalarSets = sets.flatMap((set) => scalarSet(set, config, classConfig));
    return { specs: scalarSets.flatMap(({ specs }) => specs), scalarSets, waveformSets: [] };
  }
  const waveformSets = sets.flatMap((set) => waveformSet(set, channel, config, classConfig, plans));
  return { specs: waveformSets.flatMap(({ specs }) => specs), scalarSets: [], waveformSets };
}

type FeatureSetId = ChannelConfig['features'][number];

/** `last` belongs to both process sets and is computed once. */
function scalarSet(
  set: FeatureSetId,
  config: ChannelConfig,
  { window }: MachineClassConfig,
): ScalarFeatureSet[] {
  if (set === 'proc.basic') return [processBasic(config)];
  if (set !== 'proc.trend') return [];
  const trend = processTrend(config, window);
  return config.features.includes('proc.basic') ? [trend] : [lastValue(config), trend];
}

function waveformSet(
  set: FeatureSetId,
  channel: string,
  config: ChannelConfig,
  { parameters }: MachineClassConfig,
  plans: FftPlans,
): WaveformFeatureSet[] {
  if (set === 'vib.basic') return [vibrationBasic(config.unit)];
  if (set === 'vib.spectral') return [vibrationSpectral(channel, config, plans)];
  if (set === 'vib.iso') return [isoSeverity(channel, config, parameters)];
  return set === 'vib.bearing' ? [bearingCondition(channel, config, parameters, plans)] : [];
}

function requireKind(channel: string, kind: ChannelConfig['kind'], set: FeatureSetId): void {
  const key = ['channels', channel, 'features'];
  if (set === 'usage') {
    throw configurationError(key, 'usage belongs to the machine: write `usage: true` in the machine class');
  }
  if (set.startsWith('vib.') === (kind === 'waveform')) return;
  const fits =
    kind === 'waveform' ? 'vib.basic, vib.spectral, vib.iso and vib.bearing' : 'proc.basic and proc.trend';
  throw configurationError(key, `${set} does not fit a ${kind} channel, which takes ${fits}`);
}
