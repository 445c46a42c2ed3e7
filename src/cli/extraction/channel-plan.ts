/** A machine class and a recording's channels enter; which recorded channel becomes which gateway channel leaves. */

import type { ChannelConfig, MachineClassConfig } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { Recording } from '../recordings/recording.ts';

export interface PlannedChannel {
  /** Name as the gateway knows it. */
  readonly channel: string;
  readonly config: ChannelConfig;
}

/**
 * Recorded channel name -> gateway channel, by the rules of `ingest`: a `fields` mapping names the members of a
 * message, otherwise a recorded channel is itself; channels that are not declared are left out unless the class
 * has `*`.
 * @throws GatewayError MW_RECORDING when the class uses no channel of the recording
 */
export function planChannels(
  className: string,
  classConfig: MachineClassConfig,
  recording: Recording,
): ReadonlyMap<string, PlannedChannel> {
  const plan = new Map<string, PlannedChannel>();
  for (const recorded of recording.channels) {
    for (const channel of gatewayNames(classConfig, recorded)) {
      const config = classConfig.channels[channel] ?? classConfig.channels['*'];
      if (config !== undefined) plan.set(recorded, { channel, config });
    }
  }
  if (plan.size === 0) {
    throw new GatewayError(
      'MW_RECORDING',
      `class ${className} declares none of the channels of ${recording.machine}: ${recording.channels.join(', ')}`,
      { hint: 'declare them under channels of the class, or choose another class with --class' },
    );
  }
  return plan;
}

function gatewayNames(classConfig: MachineClassConfig, recorded: string): string[] {
  const { payload } = classConfig;
  if (payload.format !== 'json' || payload.fields === undefined) return [recorded];
  return Object.entries(payload.fields)
    .filter(([, pointer]) => pointer === `/${recorded}`)
    .map(([channel]) => channel);
}

/** The class with `*` spelled out for the channels that really occur, in the order windows carry them. */
export function withWildcardSpelledOut(
  classConfig: MachineClassConfig,
  plans: Iterable<ReadonlyMap<string, PlannedChannel>>,
): MachineClassConfig {
  const { '*': wildcard, ...declared } = classConfig.channels;
  if (wildcard === undefined) return classConfig;
  const extra = new Set<string>();
  for (const plan of plans)
    for (const { channel } of plan.values()) if (!(channel in declared)) extra.add(channel);
  const channels = { ...declared };
  for (const channel of [...extra].sort()) channels[channel] = wildcard;
  return { ...classConfig, channels };
}
