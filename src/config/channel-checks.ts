/** Rules between the channels of a machine class, their feature sets and the machine's parameters. */

import type { JsonPath } from './json-path.ts';
import type { ConfigProblem } from './problem.ts';
import type { ChannelConfig, MachineClassConfig } from './schema.ts';

/** One rule inside a machine class; `at` is the way to the class. Pure; yields a problem per violation. */
export type ClassCheck = (machineClass: MachineClassConfig, at: JsonPath) => Iterable<ConfigProblem>;

/** Units in which a vibration waveform is an acceleration that can be integrated to a velocity. */
const ACCELERATION_UNITS: readonly string[] = ['g', 'm/s2'];
/** Where a channel says nothing, its values are plain numbers. */
const NO_UNIT = '1';

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
    const found = channel.unit === NO_UNIT ? 'the channel declares no unit' : `unit is "${channel.unit}"`;
    return `needs an acceleration; ${found}, allowed: ${ACCELERATION_UNITS.join(', ')}`;
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

export const channelChecks: readonly ClassCheck[] = [
  waveformKeys,
  windowHoldsTheWaveform,
  featureSetsFitTheChannel,
  bearingFeaturesNeedGeometry,
  bearingIsPossible,
  isoNeedsGroupAndSupport,
  envelopeBandIsInTheSpectrum,
];
