/** MQTT topics enter, machine, channel and decoder leave: templates, class by machine id, first match wins. */

import type { Config, MachineClassConfig } from '../config/schema.ts';
import type { ChannelRef } from '../domain/machine.ts';
import { ChannelRegistry, type ChannelTarget, channelConfig, type MachineState } from './channel-registry.ts';
import { carriesManyChannels, compileDecoder } from './payload-decoder.ts';
import type { PayloadDecoder } from './reading.ts';
import { globMatches } from './topic-filter.ts';

/** Where the messages of one topic go. */
export interface Route {
  readonly topic: string;
  readonly machine: MachineState;
  /** Null for an undeclared channel: the message goes to the dead letters. */
  readonly decoder: PayloadDecoder | null;
  /** The channel as the topic names it; '' where the payload names its channels. */
  readonly channel: string;
  /** By slot of the decoder; grows on demand. Null: not a channel of the class. */
  readonly targets: (ChannelTarget | null)[];
}

export interface RouterOptions {
  /** Distinct machine/channel pairs. */
  readonly maxChannels: number;
}

interface Template {
  readonly machineClass: string;
  readonly config: MachineClassConfig;
  /** Literal levels; null for a placeholder. */
  readonly levels: readonly (string | null)[];
  readonly machineLevel: number;
  /** -1 where the payload names the channels. */
  readonly channelLevel: number;
  readonly filter: string;
}

/** Machine and channel ids: no control characters, and nothing that was no UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NOT_AN_ID = /[\u0000-\u001f\u007f\ufffd]/;
const SPARE_ROUTES = 4096;

/** One per ingest source. Routes are cached a topic, the oldest ones are forgotten when the cache is full. */
export class TopicRouter {
  readonly registry: ChannelRegistry;
  readonly #templates: readonly Template[];
  readonly #cache = new Map<string, Route | null>();
  readonly #maxCached: number;
  readonly #classDecoders = new Map<string, PayloadDecoder>();
  readonly #channelDecoders = new Map<string, PayloadDecoder>();

  /** @param known channels of earlier runs; new ones get the indices after them */
  constructor(
    machineClasses: Config['machineClasses'],
    known: readonly ChannelRef[],
    options: RouterOptions,
  ) {
    this.registry = new ChannelRegistry(known, options.maxChannels);
    this.#templates = compileTemplates(machineClasses);
    this.#maxCached = options.maxChannels + SPARE_ROUTES;
  }

  /** MQTT filters that cover every template, each once. */
  topicFilters(): string[] {
    return [...new Set(this.#templates.map(({ filter }) => filter))];
  }

  /** The route of a topic, or null if no template takes it. The same Route as long as it stays cached. */
  route(topic: string): Route | null {
    return this.routeOf(Buffer.from(topic, 'utf8').toString('latin1'));
  }

  /** The same for a topic as its UTF-8 bytes read as latin1: the form that costs nothing to take from a packet. */
  routeOf(rawTopic: string): Route | null {
    const cached = this.#cache.get(rawTopic);
    if (cached !== undefined) return cached;
    const route = this.#find(Buffer.from(rawTopic, 'latin1').toString('utf8'));
    if (this.#cache.size >= this.#maxCached) this.#cache.delete(this.#cache.keys().next().value!);
    this.#cache.set(rawTopic, route);
    return route;
  }

  /** The target of a slot of the route's decoder. */
  target(route: Route, slot: number): ChannelTarget | null {
    const known = route.targets[slot];
    if (known !== undefined) return known;
    const name = route.decoder!.slotNames[slot] ?? route.channel;
    const target = this.registry.channel(route.machine, name);
    route.targets[slot] = target;
    return target;
  }

  #find(topic: string): Route | null {
    if (NOT_AN_ID.test(topic)) return null;
    const levels = topic.split('/');
    for (const template of this.#templates) {
      if (!fits(template.levels, levels)) continue;
      const machineId = levels[template.machineLevel]!;
      if (!template.config.machines.some((glob) => globMatches(glob, machineId))) continue;
      const machine = this.registry.machine(template.machineClass, machineId, template.config);
      const channel = template.channelLevel < 0 ? '' : levels[template.channelLevel]!;
      const decoder = this.#decoderOf(template, channel);
      return { topic, machine, decoder, channel, targets: [] };
    }
    return null;
  }

  #decoderOf({ machineClass, config, channelLevel }: Template, channel: string): PayloadDecoder | null {
    if (channelLevel < 0) return this.#classDecoder(machineClass, config);
    const payload = channelConfig(config, channel);
    if (payload === null) return null;
    if (payload.payload === undefined) return this.#classDecoder(machineClass, config);
    const key = `${machineClass}\0${Object.hasOwn(config.channels, channel) ? channel : '*'}`;
    return remember(this.#channelDecoders, key, () => compileDecoder(payload.payload!, () => false));
  }

  #classDecoder(machineClass: string, config: MachineClassConfig): PayloadDecoder {
    return remember(this.#classDecoders, machineClass, () =>
      compileDecoder(config.payload, (name) => channelConfig(config, name) !== null),
    );
  }
}

function remember<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function compileTemplates(machineClasses: Config['machineClasses']): Template[] {
  return Object.entries(machineClasses).flatMap(([machineClass, config]) =>
    config.topics.map((topic): Template => {
      const levels = topic.split('/');
      return {
        machineClass,
        config,
        levels: levels.map((level) => (isPlaceholder(level) ? null : level)),
        machineLevel: levels.indexOf('{machine}'),
        channelLevel: carriesManyChannels(config.payload) ? -1 : levels.indexOf('{channel}'),
        filter: levels.map((level) => (isPlaceholder(level) ? '+' : level)).join('/'),
      };
    }),
  );
}

function isPlaceholder(level: string): boolean {
  return level === '{machine}' || level === '{channel}';
}

/** A placeholder takes one level that is not empty and no wildcard. */
function fits(template: readonly (string | null)[], levels: readonly string[]): boolean {
  if (template.length !== levels.length) return false;
  return template.every((literal, i) => {
    const level = levels[i]!;
    return literal === null
      ? level !== '' && !level.includes('+') && !level.includes('#')
      : literal === level;
  });
}
