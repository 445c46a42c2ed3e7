/** Rules between topic templates, payload mappings and machine names: can every message find its channel? */

import type { JsonPath } from './json-path.ts';
import type { ConfigProblem } from './problem.ts';
import type { Config, MachineClassConfig, PayloadConfig } from './schema.ts';

const PLACEHOLDER = /\{[^}]*\}/g;

function* templatesAreValid({ machineClasses }: Config): Iterable<ConfigProblem> {
  for (const [name, { topics }] of Object.entries(machineClasses)) {
    for (const [i, topic] of topics.entries()) {
      const fault = templateFault(topic);
      if (fault !== null)
        yield { path: ['machineClasses', name, 'topics', i], message: `${JSON.stringify(topic)}: ${fault}` };
    }
  }
}

/** What is wrong with a topic template, or null. */
export function templateFault(topic: string): string | null {
  if (topic.startsWith('$')) return 'topics that start with $ belong to the broker';
  if (topic.includes('\0')) return 'a topic has no NUL character';
  const levels = topic.split('/');
  for (const level of levels) {
    if (/[+#]/.test(level)) return 'write {machine} and {channel} in place of + and #';
    if (!/[{}]/.test(level)) continue;
    if (level !== '{machine}' && level !== '{channel}') {
      const known = level.match(PLACEHOLDER)?.some((p) => p === '{machine}' || p === '{channel}');
      return known
        ? `a placeholder takes a whole level, not part of "${level}"`
        : `"${level}" is no placeholder; known: {machine}, {channel}`;
    }
  }
  for (const placeholder of ['{machine}', '{channel}']) {
    if (levels.filter((level) => level === placeholder).length > 1) return `${placeholder} stands twice`;
  }
  return levels.includes('{machine}')
    ? null
    : '{machine} is missing; nothing says which machine the message is from';
}

/** One message names its channel in the topic, or carries many channels: exactly one of the two. */
function* topicAndPayloadNameTheChannel({ machineClasses }: Config): Iterable<ConfigProblem> {
  for (const [name, { topics, payload }] of Object.entries(machineClasses)) {
    const many = carriesManyChannels(payload);
    for (const [i, topic] of topics.entries()) {
      const inTopic = topic.split('/').includes('{channel}');
      if (inTopic !== many) continue;
      yield {
        path: ['machineClasses', name, 'topics', i],
        message: inTopic
          ? `${JSON.stringify(topic)} has {channel}, but the payload names its channels (fields, allFields); remove one of the two`
          : `${JSON.stringify(topic)} has no {channel}, and the payload carries one value; add {channel}, or payload.fields`,
        involves: [['machineClasses', name, 'payload']],
      };
    }
  }
}

function carriesManyChannels(payload: PayloadConfig): boolean {
  return payload.format === 'json' && (payload.fields !== undefined || payload.allFields);
}

function* payloadsAreConsistent({ machineClasses }: Config): Iterable<ConfigProblem> {
  for (const [name, machineClass] of Object.entries(machineClasses)) {
    const at: JsonPath = ['machineClasses', name];
    yield* payloadFaults(machineClass.payload, [...at, 'payload']);
    yield* fieldsAreChannels(machineClass, at);
    for (const [channel, { payload }] of Object.entries(machineClass.channels)) {
      if (payload === undefined) continue;
      const path: JsonPath = [...at, 'channels', channel, 'payload'];
      yield* payloadFaults(payload, path);
      if (carriesManyChannels(payload)) {
        yield {
          path,
          message:
            'a channel cannot carry many channels; move fields or allFields to the payload of the class',
        };
      } else if (carriesManyChannels(machineClass.payload)) {
        yield {
          path,
          message: 'never used: the payload of the class carries every channel in one message',
          involves: [[...at, 'payload']],
        };
      }
    }
  }
}

function* payloadFaults(payload: PayloadConfig, at: JsonPath): Iterable<ConfigProblem> {
  if (payload.format !== 'json') return;
  if (payload.fields !== undefined && payload.allFields) {
    yield {
      path: [...at, 'allFields'],
      message: 'true beside fields; keep one of the two',
      involves: [[...at, 'fields']],
    };
  }
  const pointers: [JsonPath, string | null][] = [
    ...(['value', 'time', 'sequence', 'unit', 'sampleRateHz'] as const).map(
      (key): [JsonPath, string | null] => [[...at, key], payload[key]],
    ),
    ...Object.entries(payload.fields ?? {}).map(([key, pointer]): [JsonPath, string] => [
      [...at, 'fields', key],
      pointer,
    ]),
  ];
  for (const [path, pointer] of pointers) {
    const fault = pointer === null ? null : pointerFault(pointer);
    if (fault !== null) yield { path, message: `${JSON.stringify(pointer)} is no JSON pointer: ${fault}` };
  }
}

/** RFC 6901: '' or reference tokens each begun by /, with ~ only as ~0 and ~1. */
export function pointerFault(pointer: string): string | null {
  if (pointer !== '' && !pointer.startsWith('/')) return `write "/${pointer}"`;
  return /~(?![01])/.test(pointer) ? '~ stands only in ~0 and ~1' : null;
}

function* fieldsAreChannels(
  { payload, channels }: MachineClassConfig,
  at: JsonPath,
): Iterable<ConfigProblem> {
  if (payload.format !== 'json' || Object.hasOwn(channels, '*')) return;
  for (const channel of Object.keys(payload.fields ?? {})) {
    if (Object.hasOwn(channels, channel)) continue;
    yield {
      path: [...at, 'payload', 'fields', channel],
      message: `"${channel}" is no channel of this class; declared: ${Object.keys(channels).join(', ')}`,
      atKey: true,
      involves: [[...at, 'channels']],
    };
  }
}

/** The first class that matches topic and machine wins; a class that can never win is a mistake. */
function* everyTemplateIsReachable({ machineClasses }: Config): Iterable<ConfigProblem> {
  const earlier: { name: string; topic: string; machines: readonly string[] }[] = [];
  for (const [name, { topics, machines }] of Object.entries(machineClasses)) {
    if (machines.length === 0) {
      yield {
        path: ['machineClasses', name, 'machines'],
        message: 'empty; no machine can belong to this class',
      };
    }
    for (const [i, topic] of topics.entries()) {
      const winner = earlier.find(
        (e) => e.topic === topic && (e.name === name || covers(e.machines, machines)),
      );
      if (winner !== undefined) {
        const why =
          winner.name === name
            ? 'is listed twice'
            : `is taken by class ${winner.name}, which matches the same machines`;
        yield {
          path: ['machineClasses', name, 'topics', i],
          message: `${JSON.stringify(topic)} ${why}`,
          involves: [
            ['machineClasses', winner.name, 'topics'],
            ['machineClasses', winner.name, 'machines'],
            ['machineClasses', name, 'machines'],
          ],
        };
      }
      earlier.push({ name, topic, machines });
    }
  }
}

function covers(winner: readonly string[], loser: readonly string[]): boolean {
  return winner.includes('*') || (loser.length > 0 && loser.every((glob) => winner.includes(glob)));
}

export const topicChecks = [
  templatesAreValid,
  topicAndPayloadNameTheChannel,
  payloadsAreConsistent,
  everyTemplateIsReachable,
] as const;
