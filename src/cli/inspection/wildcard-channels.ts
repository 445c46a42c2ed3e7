/** How many channels `*` stands for in each class enters, a configuration that an estimate can count leaves. */

import type { Config, MachineClassConfig } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';

export type Counts = Readonly<Record<string, number>>;

const WILDCARD = '*';
/** Of one machine; more are a slip of the finger, and each would be counted on its own. */
const MAX_COUNT = 10_000;

/**
 * The configuration with so many channels more, named `channel-1` and on, each declared as its class declares `*`.
 * The wildcard stays; an estimate does not count it.
 * @throws GatewayError MW_USAGE for a class that is not there or has no `*`, and for a count beyond 10,000
 */
export function withWildcardsCounted(config: Config, counts: Counts): Config {
  requireSense(wildcardClasses(config), counts);
  const classes = Object.entries(config.machineClasses).map(
    ([name, classConfig]) => [name, spelledOut(classConfig, counts[name] ?? 0)] as const,
  );
  return { ...config, machineClasses: Object.fromEntries(classes) };
}

function requireSense(wildcards: readonly string[], counts: Counts): void {
  const stranger = Object.keys(counts).find((name) => !wildcards.includes(name));
  if (stranger !== undefined) {
    const hint =
      wildcards.length === 0
        ? 'leave --channels out'
        : `classes with such a channel: ${wildcards.join(', ')}`;
    throw new GatewayError('MW_USAGE', `--channels: no class "${stranger}" with a channel '*'`, { hint });
  }
  const excessive = Object.entries(counts).find(([, count]) => count > MAX_COUNT);
  if (excessive !== undefined)
    throw new GatewayError('MW_USAGE', `--channels: ${excessive.join('=')} is more than ${MAX_COUNT}`);
}

/** One line per class whose `*` no count is given for. */
export function uncountedLines(config: Config, counts: Counts): string[] {
  return wildcardClasses(config)
    .filter((name) => counts[name] === undefined)
    .map(
      (name) =>
        `not in the estimate: channel '*' of class ${name}; --channels ${name}=4 counts it as 4 channels`,
    );
}

function wildcardClasses({ machineClasses }: Config): string[] {
  return Object.keys(machineClasses).filter((name) =>
    Object.hasOwn(machineClasses[name]!.channels, WILDCARD),
  );
}

function spelledOut(classConfig: MachineClassConfig, count: number): MachineClassConfig {
  const channels = { ...classConfig.channels };
  for (let n = 1; n <= count; n += 1) channels[`channel-${n}`] = channels[WILDCARD]!;
  return { ...classConfig, channels };
}
