/** One machine's recordings enter, its feature vectors leave: the gateway's own windows and features, nothing else. */

import type { MachineClassConfig } from '../../config/schema.ts';
import type { FeatureVector } from '../../domain/feature-vector.ts';
import { GatewayError } from '../../errors.ts';
import type { FeatureExtractor } from '../../features/extractor.ts';
import { emptyFeatureState } from '../../features/feature-state.ts';
import { Windower } from '../../window/windower.ts';
import { mergeByTime, type PlacedRecording } from '../recordings/merge.ts';
import type { WaveformMessage } from '../recordings/recording.ts';
import type { PlannedChannel } from './channel-plan.ts';

/** Windows are taken after this many messages, so that memory stays at what is open. */
const MESSAGES_PER_STEP = 256;
const GOOD = 0;
/** Journal batch of every record: there is no journal here. */
const BATCH = 0;
/**
 * Arrival clock: it stands still, so no channel falls idle and windows close by event time alone, as when a
 * recording is replayed faster than `idleTimeoutMs`.
 */
const ARRIVAL_MS = 0;

export interface MachineSource {
  readonly machine: string;
  readonly recordings: readonly PlacedRecording[];
  /** Recorded channel -> gateway channel. */
  readonly plan: ReadonlyMap<string, PlannedChannel>;
  /** Counts up: samples that no window took (over `maxSamplesPerWindow`, or late). */
  readonly refused: { samples: number };
}

/**
 * Vectors in order of window start; the last, partly filled window included (its coverage says so).
 * @throws GatewayError MW_RECORDING when a waveform contradicts the unit or rate the class declares
 */
export function* extractFeatures(
  className: string,
  classConfig: MachineClassConfig,
  extractor: FeatureExtractor,
  source: MachineSource,
): Generator<FeatureVector> {
  const windower = new Windower({ [className]: classConfig });
  const indices = new Map<string, number>();
  for (const { channel } of source.plan.values()) {
    if (indices.has(channel)) continue;
    indices.set(channel, indices.size);
    windower.register({
      index: indices.get(channel)!,
      machineClass: className,
      machine: source.machine,
      channel,
    });
  }
  const state = emptyFeatureState();
  const closed = function* (): Generator<FeatureVector> {
    for (let next = windower.takeClosed(); next !== null; next = windower.takeClosed()) {
      yield extractor.extract(next.window, state);
      windower.committed(source.machine, next.closedUntilMs);
    }
  };
  let sinceStep = 0;
  for (const { message, timeMs } of mergeByTime(source.recordings)) {
    if (message.kind === 'row') {
      for (const [recorded, value] of Object.entries(message.values)) {
        const planned = source.plan.get(recorded);
        if (planned === undefined) continue;
        if (planned.config.kind !== 'scalar')
          throw contradiction(source.machine, planned, 'is declared as waveform but recorded as scalar');
        windower.addScalar(indices.get(planned.channel)!, timeMs, value, GOOD, 0, BATCH, ARRIVAL_MS);
      }
    } else {
      const planned = source.plan.get(message.channel);
      if (planned === undefined) continue;
      checkWaveform(source.machine, planned, message);
      const { values, sequence } = message;
      // The wire carries the rate as float32, and the gateway computes with what the wire carried.
      const sampleRateHz = Math.fround(message.sampleRateHz);
      const index = indices.get(planned.channel)!;
      windower.addWaveform(index, timeMs, sampleRateHz, values, GOOD, sequence, BATCH, ARRIVAL_MS);
    }
    sinceStep += 1;
    if (sinceStep < MESSAGES_PER_STEP) continue;
    sinceStep = 0;
    yield* closed();
  }
  windower.flush();
  yield* closed();
  const refused = windower.takeRefused();
  source.refused.samples += refused.late + refused.overLimit;
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
