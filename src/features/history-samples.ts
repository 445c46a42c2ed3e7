/** A window and its features in, what the on-device history keeps of them out: channel series and chosen features. */

import type { HistoryConfig, MachineClassConfig } from '../config/schema.ts';
import { type FeatureGroup, type FeatureVector, fullFeatureId } from '../domain/feature-vector.ts';
import type { HistorySample, HistoryWindow } from '../domain/history.ts';
import type { ChannelSlice, Window } from '../domain/window.ts';

/** A feature that is kept: its place in the group and the name of its series. */
interface Chosen {
  readonly index: number;
  readonly series: string;
}

/** Chooses by configuration; remembers the choice per class and channel. */
export class HistorySampler {
  readonly #config: HistoryConfig;
  readonly #classes: Readonly<Record<string, MachineClassConfig>>;
  readonly #wanted: readonly RegExp[];
  readonly #chosen = new Map<string, readonly Chosen[]>();

  constructor(config: HistoryConfig, classes: Readonly<Record<string, MachineClassConfig>>) {
    this.#config = config;
    this.#classes = classes;
    this.#wanted = config.features.map(globOf);
  }

  /** Finite values only; a window in which nothing is defined has no samples. */
  sample(window: Window, vector: FeatureVector): HistoryWindow {
    const { sizeMs, hopMs } = this.#classes[window.machineClass]!.window;
    const ofChannels = this.#config.channels ? window.slices.map(sampleOf) : [];
    const ofFeatures = vector.groups.flatMap((group) => this.#sampleGroup(window.machineClass, group));
    const samples = [...ofChannels, ...ofFeatures].filter((sample) => sample !== null);
    return { startMs: window.startMs, sizeMs, hopMs: hopMs ?? sizeMs, samples };
  }

  /** Names of the series of a class, for channels that are declared. @param groups its feature schema */
  seriesOf(
    machineClass: string,
    groups: readonly Pick<FeatureGroup, 'channel' | 'specs'>[],
    channels: readonly string[],
  ): string[] {
    const ofFeatures = groups.flatMap((group) => this.#choose(machineClass, group));
    return [...(this.#config.channels ? channels : []), ...ofFeatures.map(({ series }) => series)];
  }

  #sampleGroup(machineClass: string, group: FeatureGroup): HistorySample[] {
    return this.#choose(machineClass, group).flatMap(({ index, series }) => {
      const value = group.values[index]!;
      return Number.isFinite(value) ? [{ series, average: value, min: value, max: value, last: value }] : [];
    });
  }

  #choose(
    machineClass: string,
    { channel, specs }: Pick<FeatureGroup, 'channel' | 'specs'>,
  ): readonly Chosen[] {
    const key = `${machineClass}\0${channel}`;
    let chosen = this.#chosen.get(key);
    if (chosen === undefined) {
      chosen = specs
        .map(({ id }, index) => ({ index, series: fullFeatureId(channel, id) }))
        .filter(({ series }) => this.#wanted.some((pattern) => pattern.test(series)));
      this.#chosen.set(key, chosen);
    }
    return chosen;
  }
}

/** `*` any characters, `?` one. */
function globOf(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's');
}

/** Mean, least, largest and last sample of a channel in a window; null without samples. */
function sampleOf(slice: ChannelSlice): HistorySample | null {
  const stretches = slice.kind === 'scalar' ? [slice.value] : slice.segments.map(({ values }) => values);
  let [sum, n, last] = [0, 0, Number.NaN];
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const values of stretches) {
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i]!;
      sum += value;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    n += values.length;
    last = values.at(-1) ?? last;
  }
  const average = sum / n;
  return n > 0 && Number.isFinite(average) ? { series: slice.channel, average, min, max, last } : null;
}
