/** Rules between the keys of one machine class: windows, channels, models, health. */

import type { JsonPath } from './json-path.ts';
import type { ConfigProblem } from './problem.ts';
import type { ChannelConfig, Config, MachineClassConfig } from './schema.ts';
import { topicChecks } from './topic-checks.ts';

/** Units in which a vibration waveform is an acceleration that can be integrated to a velocity. */
const ACCELERATION_UNITS: readonly string[] = ['g', 'm/s2'];

/** Most windows one sample may belong to. */
const MAX_OVERLAP = 1000;

type ClassCheck = (machineClass: MachineClassConfig, at: JsonPath) => Iterable<ConfigProblem>;

function* windowHops({ window }: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  const { sizeMs, hopMs, offsetMs } = window;
  const path = (key: string): JsonPath => [...at, 'window', key];
  if (hopMs !== undefined && hopMs > sizeMs) {
    yield {
      path: path('hopMs'),
      message: `${hopMs} is more than sizeMs ${sizeMs}: samples between two windows would be lost; allowed: up to sizeMs`,
      involves: [path('sizeMs')],
    };
  } else if (hopMs !== undefined && sizeMs / hopMs > MAX_OVERLAP) {
    yield {
      path: path('hopMs'),
      message: `${hopMs} puts each sample into ${Math.ceil(sizeMs / hopMs)} windows; allowed: at least sizeMs / ${MAX_OVERLAP} = ${Math.ceil(sizeMs / MAX_OVERLAP)}`,
      involves: [path('sizeMs')],
    };
  }
  const hop = hopMs ?? sizeMs;
  if (offsetMs >= hop) {
    yield {
      path: path('offsetMs'),
      message: `${offsetMs} is not less than the hop of ${hop}; the same windows start at offset ${offsetMs % hop}`,
      involves: [path('hopMs'), path('sizeMs')],
    };
  }
}

function* eachChannel({ channels }: MachineClassConfig, at: JsonPath): Iterable<[ChannelConfig, JsonPath]> {
  for (const [name, channel] of Object.entries(channels)) yield [channel, [...at, 'channels', name]];
}

function* waveformKeys(machineClass: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  for (const [channel, path] of eachChannel(machineClass, at)) {
    const kind: JsonPath = [...path, 'kind'];
    if (channel.kind === 'waveform' && channel.sampleRateHz === undefined) {
      yield {
        path: [...path, 'sampleRateHz'],
        message: 'missing; a waveform needs its sample rate, a number above 0',
        involves: [kind],
      };
    }
    if (channel.kind === 'waveform') continue;
    for (const key of ['sampleRateHz', 'samplesPerWindow'] as const) {
      if (channel[key] === undefined) continue;
      yield {
        path: [...path, key],
        message: `${channel[key]} is given for a scalar channel; remove it, or set kind: waveform`,
        involves: [kind],
      };
    }
    if (channel.payload?.format === 'block') {
      yield {
        path: [...path, 'payload', 'format'],
        message: '"block" carries waveforms; set kind: waveform',
        involves: [kind],
      };
    }
  }
}

function* windowHoldsTheWaveform(machineClass: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  const { maxSamplesPerWindow, sizeMs } = machineClass.window;
  for (const [channel, path] of eachChannel(machineClass, at)) {
    if (channel.kind !== 'waveform' || channel.sampleRateHz === undefined) continue;
    const samples = channel.samplesPerWindow ?? Math.ceil((channel.sampleRateHz * sizeMs) / 1000);
    if (samples <= maxSamplesPerWindow) continue;
    yield {
      path: [...path, channel.samplesPerWindow === undefined ? 'sampleRateHz' : 'samplesPerWindow'],
      message: `a window would hold ${samples} samples, more than window.maxSamplesPerWindow ${maxSamplesPerWindow}`,
      involves: [[...at, 'window']],
    };
  }
}

function* featureSetsFitTheChannel(machineClass: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  for (const [channel, path] of eachChannel(machineClass, at)) {
    for (const [i, set] of channel.features.entries()) {
      const fault = featureSetFault(set, channel);
      if (fault === null) continue;
      yield {
        path: [...path, 'features', i],
        message: `"${set}" ${fault}`,
        involves: [
          [...path, 'kind'],
          [...path, 'unit'],
        ],
      };
    }
  }
}

function featureSetFault(set: ChannelConfig['features'][number], channel: ChannelConfig): string | null {
  if (set === 'usage') return 'describes the whole machine; remove it here and set usage: true on the class';
  if (set.startsWith('vib.') && channel.kind !== 'waveform') return 'needs a waveform; set kind: waveform';
  if (set.startsWith('proc.') && channel.kind !== 'scalar')
    return 'needs a scalar; write features: [vib.basic] for a waveform';
  if (set === 'vib.iso' && !ACCELERATION_UNITS.includes(channel.unit)) {
    return `needs an acceleration; unit is "${channel.unit}", allowed: ${ACCELERATION_UNITS.join(', ')}`;
  }
  return null;
}

function* bearingFeaturesNeedGeometry(
  machineClass: MachineClassConfig,
  at: JsonPath,
): Iterable<ConfigProblem> {
  const { bearing, shaftSpeedRpm } = machineClass.parameters;
  for (const [channel, path] of eachChannel(machineClass, at)) {
    const index = channel.features.indexOf('vib.bearing');
    if (index === -1) continue;
    const missing = [
      bearing === undefined ? 'bearing' : '',
      shaftSpeedRpm === undefined ? 'shaftSpeedRpm' : '',
    ].filter(Boolean);
    if (missing.length === 0) continue;
    yield {
      path: [...path, 'features', index],
      message: `"vib.bearing" needs the defect frequencies of the bearing; add parameters.${missing.join(' and parameters.')} to the class`,
      involves: [[...at, 'parameters']],
    };
  }
}

function* bearingIsPossible({ parameters }: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  const { bearing } = parameters;
  if (bearing === undefined || bearing.ballDiameter < bearing.pitchDiameter) return;
  yield {
    path: [...at, 'parameters', 'bearing', 'ballDiameter'],
    message: `${bearing.ballDiameter} is not less than pitchDiameter ${bearing.pitchDiameter}`,
    involves: [[...at, 'parameters', 'bearing', 'pitchDiameter']],
  };
}

/** ISO 10816-3 gives its zone limits by group and support together. */
function* isoNeedsGroupAndSupport({ parameters }: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  const { isoGroup, isoSupport } = parameters;
  if ((isoGroup === undefined) === (isoSupport === undefined)) return;
  const [given, lacking] = isoGroup === undefined ? ['isoSupport', 'isoGroup'] : ['isoGroup', 'isoSupport'];
  yield {
    path: [...at, 'parameters', given],
    message: `given without ${lacking}; the zone limits depend on both`,
  };
}

function* envelopeBandIsInTheSpectrum(
  machineClass: MachineClassConfig,
  at: JsonPath,
): Iterable<ConfigProblem> {
  const band = machineClass.parameters.envelopeBandHz;
  if (band === undefined) return;
  const path: JsonPath = [...at, 'parameters', 'envelopeBandHz'];
  const [low, high] = band;
  if (low >= high) yield { path, message: `${low} to ${high} Hz is no band; write the lower edge first` };
  for (const [channel, channelPath] of eachChannel(machineClass, at)) {
    if (!channel.features.includes('vib.bearing') || channel.sampleRateHz === undefined) continue;
    if (high <= channel.sampleRateHz / 2) continue;
    yield {
      path,
      message: `the upper edge ${high} Hz is beyond half the sample rate of ${String(channelPath.at(-1))}, ${channel.sampleRateHz / 2} Hz`,
      involves: [channelPath],
    };
  }
}

function* runningChannelExists(
  { parameters, channels }: MachineClassConfig,
  at: JsonPath,
): Iterable<ConfigProblem> {
  const channel = parameters.running?.channel;
  if (channel === undefined || Object.hasOwn(channels, channel) || Object.hasOwn(channels, '*')) return;
  yield {
    path: [...at, 'parameters', 'running', 'channel'],
    message: `"${channel}" is no channel of this class; declared: ${Object.keys(channels).join(', ')}`,
    involves: [[...at, 'channels']],
  };
}

function* baselineHasFeatures(machineClass: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  const { baseline, channels, usage } = machineClass;
  if (!baseline.enabled) return;
  const watched = Object.entries(channels)
    .filter(([, channel]) => channel.features.length > 0)
    .map(([name]) => name);
  if (watched.length === 0) {
    yield {
      path: [...at, 'baseline', 'enabled'],
      message: 'true, but no channel of this class computes features',
      involves: [[...at, 'channels']],
    };
    return;
  }
  if (usage || watched.includes('*')) return;
  for (const [i, pattern] of baseline.features.entries()) {
    if (watched.some((channel) => patternReaches(pattern, channel))) continue;
    yield {
      path: [...at, 'baseline', 'features', i],
      message: `"${pattern}" matches no feature; full ids are <channel>.<feature>, channels with features: ${watched.join(', ')}`,
      involves: [[...at, 'channels']],
    };
  }
}

/** True if a pattern over full feature ids can match any id that starts with `<channel>.`. */
function patternReaches(pattern: string, channel: string): boolean {
  const prefix = `${channel}.`;
  let reachable = new Set([0]);
  for (const letter of prefix) {
    const next = new Set<number>();
    for (const at of closeOverStars(pattern, reachable)) {
      if (pattern[at] === '*') next.add(at);
      else if (pattern[at] === '?' || pattern[at] === letter) next.add(at + 1);
    }
    reachable = next;
  }
  // Something must be left for the feature's own id.
  return [...reachable].some((at) => at < pattern.length);
}

function closeOverStars(pattern: string, positions: ReadonlySet<number>): Set<number> {
  const closed = new Set(positions);
  for (const at of closed) if (pattern[at] === '*') closed.add(at + 1);
  return closed;
}

function* raiseCountsFit({ health }: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  if (health.raiseCount <= health.raiseOutOf) return;
  yield {
    path: [...at, 'health', 'raiseCount'],
    message: `${health.raiseCount} windows out of raiseOutOf ${health.raiseOutOf} can never be; allowed: up to raiseOutOf`,
    involves: [[...at, 'health', 'raiseOutOf']],
  };
}

function* rulLimitsAreOrdered({ health, models }: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  const { rulWarning, rulAlarm } = health;
  if (rulWarning !== undefined && rulAlarm !== undefined && rulAlarm > rulWarning) {
    yield {
      path: [...at, 'health', 'rulAlarm'],
      message: `${rulAlarm} is more than rulWarning ${rulWarning}: the alarm would come before the warning`,
      involves: [[...at, 'health', 'rulWarning']],
    };
  }
  if (models.length > 0) return;
  for (const key of ['rulWarning', 'rulAlarm'] as const) {
    if (health[key] === undefined) continue;
    yield {
      path: [...at, 'health', key],
      message: 'set, but no model of this class predicts remaining life; add one to models',
      involves: [[...at, 'models']],
    };
  }
}

function* modelsAreUsedOnce({ models }: MachineClassConfig, at: JsonPath): Iterable<ConfigProblem> {
  for (const [i, { name }] of models.entries()) {
    if (models.findIndex((model) => model.name === name) === i) continue;
    yield { path: [...at, 'models', i, 'name'], message: `"${name}" is used twice in this class` };
  }
}

const CHECKS: readonly ClassCheck[] = [
  windowHops,
  waveformKeys,
  windowHoldsTheWaveform,
  featureSetsFitTheChannel,
  bearingFeaturesNeedGeometry,
  bearingIsPossible,
  isoNeedsGroupAndSupport,
  envelopeBandIsInTheSpectrum,
  runningChannelExists,
  baselineHasFeatures,
  raiseCountsFit,
  rulLimitsAreOrdered,
  modelsAreUsedOnce,
];

function* everyClass({ machineClasses }: Config): Iterable<ConfigProblem> {
  if (Object.keys(machineClasses).length === 0) {
    yield { path: ['machineClasses'], message: 'empty; declare at least one class of machines' };
  }
  for (const [name, machineClass] of Object.entries(machineClasses)) {
    for (const check of CHECKS) yield* check(machineClass, ['machineClasses', name]);
  }
}

export const classChecks = [everyClass, ...topicChecks] as const;
