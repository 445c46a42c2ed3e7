/** Set `usage`: the machine's windows so far -> age and use, machine-level features. */

import type { MachineClassConfig } from '../config/schema.ts';
import type { Window } from '../domain/window.ts';
import { configurationError, featureSpec, type MachineFeatureSet } from './feature-set.ts';
import { meanOf } from './moments.ts';
import { UNKNOWN_RUN } from './usage-memory.ts';

const MS_PER_HOUR = 3_600_000;

/**
 * `cycles` counts the machine's windows with data, the first being 1; `age_h` is the time from the start of the
 * first to the end of this one. A window counts as running while the mean of `parameters.running.channel` is above
 * its limit, and adds its hop to `run_hours`; without data of that channel it adds nothing. Without
 * `parameters.running` every window counts as running, and there is no `starts`.
 *
 * Counters begin where the gateway first saw the machine, not where the machine began.
 *
 * @throws GatewayError MW_CONFIG_INVALID when `parameters.running` names no scalar channel
 */
export function usage(config: MachineClassConfig): MachineFeatureSet {
  const { running } = config.parameters;
  const { sizeMs, hopMs = sizeMs } = config.window;
  if (running !== undefined) requireScalar(config, running.channel);
  const rule = running === undefined ? { hopMs } : { above: running.above, channel: running.channel, hopMs };
  const specs = [featureSpec('cycles', '1'), featureSpec('run_hours', 'h', rule), featureSpec('age_h', 'h')];
  if (running !== undefined) specs.push(featureSpec('starts', '1', rule));
  return {
    specs,
    compute(window, { usage: memory }, out, at) {
      const isRunning = running === undefined ? true : runs(window, running.channel, running.above);
      const runMs = isRunning === null ? UNKNOWN_RUN : isRunning ? hopMs : 0;
      const index = memory.put(window.startMs, runMs);
      if (index < 0) return;
      const counters = memory.countersAt(index);
      out[at] = counters.cycles;
      out[at + 1] = counters.runMs / MS_PER_HOUR;
      out[at + 2] = (window.endMs - counters.firstStartMs) / MS_PER_HOUR;
      if (running !== undefined) out[at + 3] = counters.starts;
    },
  };
}

/** Null when the window does not say. */
function runs(window: Window, channel: string, above: number): boolean | null {
  for (const slice of window.slices) {
    if (slice.channel !== channel || slice.kind !== 'scalar' || slice.value.length === 0) continue;
    return meanOf(slice.value, slice.value.length) > above;
  }
  return null;
}

function requireScalar(config: MachineClassConfig, channel: string): void {
  const declared = Object.hasOwn(config.channels, channel) ? config.channels[channel] : config.channels['*'];
  if (declared?.kind === 'scalar') return;
  const problem =
    declared === undefined ? 'is not a channel of this class' : 'carries a waveform, not a number';
  throw configurationError(['parameters', 'running', 'channel'], `"${channel}" ${problem}`);
}
