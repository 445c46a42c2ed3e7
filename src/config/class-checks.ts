/** Rules between the keys of one machine class: windows, baseline, models, health. */

import { type ClassCheck, channelChecks } from './channel-checks.ts';
import type { JsonPath } from './json-path.ts';
import type { ConfigProblem } from './problem.ts';
import type { Config, MachineClassConfig } from './schema.ts';
import { topicChecks } from './topic-checks.ts';

/** Most windows one sample may belong to. */
const MAX_OVERLAP = 1000;

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
  ...channelChecks,
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
