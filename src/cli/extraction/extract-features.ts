/** One machine's recordings enter, its feature vectors leave: the gateway's own windows and features, nothing else. */

import type { MachineClassConfig } from '../../config/schema.ts';
import type { FeatureVector } from '../../domain/feature-vector.ts';
import type { Window } from '../../domain/window.ts';
import { GatewayError } from '../../errors.ts';
import type { FeatureExtractor } from '../../features/extractor.ts';
import { emptyFeatureState } from '../../features/feature-state.ts';
import { Windower } from '../../window/windower.ts';
import { mergeByTime, type PlacedRecording } from '../recordings/merge.ts';
import type { RecordedMessage, WaveformMessage } from '../recordings/recording.ts';
import type { ChannelPlan, PlannedChannel } from './channel-plan.ts';

/** Windows are taken after this many messages, so that memory stays at what is open. */
const MESSAGES_PER_STEP = 256;
const GOOD = 0;
const NO_SEQUENCE = 0;
/**
 * There is no journal, and the clock stands still, so no channel falls idle and windows close by event time alone, as
 * when a recording is replayed faster than `idleTimeoutMs`.
 */
const ARRIVAL = { batchId: 0, nowMs: 0 };

export interface MachineSource {
  readonly machine: string;
  readonly recordings: readonly PlacedRecording[];
  readonly plan: ChannelPlan;
  readonly refused: Refused;
}

/** Counts up while features are made: what did not get into the table. */
export interface Refused {
  /** Samples that no window took (over `maxSamplesPerWindow`, or late). */
  samples: number;
  /** Channel as recorded -> samples of it, where the class does not declare it. */
  readonly unknown: Map<string, number>;
}

/**
 * Vectors in order of window start; the last, partly filled window included (its coverage says so).
 * @throws GatewayError MW_RECORDING when a recorded channel contradicts what the class declares
 */
export function* extractFeatures(
  className: string,
  classConfig: MachineClassConfig,
  extractor: FeatureExtractor,
  source: MachineSource,
): Generator<FeatureVector> {
  const feed = new MachineFeed(className, classConfig, source);
  const state = emptyFeatureState();
  let sinceStep = 0;
  for (const { message, timeMs } of mergeByTime(source.recordings)) {
    feed.take(message, timeMs);
    sinceStep += 1;
    if (sinceStep < MESSAGES_PER_STEP) continue;
    sinceStep = 0;
    for (const window of feed.closed()) yield extractor.extract(window, state);
  }
  feed.end();
  for (const window of feed.closed()) yield extractor.extract(window, state);
}

/** One machine's windower, fed by recorded messages as `ingest` and the journal would feed it. */
class MachineFeed {
  readonly #source: MachineSource;
  readonly #windower: Windower;
  readonly #indices = new Map<string, number>();

  constructor(className: string, classConfig: MachineClassConfig, source: MachineSource) {
    this.#source = source;
    this.#windower = new Windower({ [className]: classConfig });
    for (const { channel } of [...source.plan.values()].flat()) {
      if (this.#indices.has(channel)) continue;
      const index = this.#indices.size;
      this.#indices.set(channel, index);
      this.#windower.register({ index, machineClass: className, machine: source.machine, channel });
    }
  }

  take(message: RecordedMessage, timeMs: number): void {
    if (message.kind === 'waveform') this.#takeWaveform(message, timeMs);
    else for (const [name, value] of Object.entries(message.values)) this.#takeScalar(name, value, timeMs);
  }

  /** Windows whose time has come since the last call. */
  *closed(): Generator<Window> {
    for (let next = this.#windower.takeClosed(); next !== null; next = this.#windower.takeClosed()) {
      yield next.window;
      this.#windower.committed(this.#source.machine, next.closedUntilMs);
    }
  }

  /** The recordings are over. */
  end(): void {
    this.#windower.flush();
    const { late, overLimit } = this.#windower.takeRefused();
    this.#source.refused.samples += late + overLimit;
  }

  #planned(recorded: string, samples: number): readonly PlannedChannel[] {
    const planned = this.#source.plan.get(recorded);
    if (planned !== undefined) return planned;
    const { unknown } = this.#source.refused;
    unknown.set(recorded, (unknown.get(recorded) ?? 0) + samples);
    return [];
  }

  #takeScalar(recorded: string, value: number, timeMs: number): void {
    for (const planned of this.#planned(recorded, 1)) {
      if (planned.config.kind !== 'scalar') {
        throw contradiction(this.#source.machine, planned, 'is declared as waveform but recorded as scalar');
      }
      const index = this.#indices.get(planned.channel)!;
      this.#windower.addScalar(index, timeMs, value, GOOD, NO_SEQUENCE, ARRIVAL);
    }
  }

  #takeWaveform(message: WaveformMessage, timeMs: number): void {
    const { values, sequence } = message;
    // The wire carries the rate as float32, and the gateway computes with what the wire carried.
    const sampleRateHz = Math.fround(message.sampleRateHz);
    for (const planned of this.#planned(message.channel, values.length)) {
      checkWaveform(this.#source.machine, planned, message);
      const index = this.#indices.get(planned.channel)!;
      this.#windower.addWaveform(index, timeMs, sampleRateHz, values, GOOD, sequence, ARRIVAL);
    }
  }
}

function checkWaveform(machine: string, planned: PlannedChannel, message: WaveformMessage): void {
  const { kind, unit, sampleRateHz } = planned.config;
  if (kind !== 'waveform') {
    throw contradiction(machine, planned, 'is declared as scalar but recorded as waveform');
  }
  if (unit !== message.unit) {
    throw contradiction(machine, planned, `is declared in ${unit} but recorded in ${message.unit}`);
  }
  if (sampleRateHz !== undefined && Math.fround(sampleRateHz) !== Math.fround(message.sampleRateHz)) {
    const rates = `is declared at ${sampleRateHz} Hz but recorded at ${message.sampleRateHz} Hz`;
    throw contradiction(machine, planned, rates);
  }
}

/** The gateway would put such a message into the dead letters; a table without its rows would hide that. */
function contradiction(machine: string, planned: PlannedChannel, what: string): GatewayError {
  return new GatewayError('MW_RECORDING', `channel ${planned.channel} of ${machine} ${what}`, {
    hint: 'correct the channel in the machine class, or choose another class with --class',
  });
}
