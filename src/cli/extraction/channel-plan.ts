/** A machine class and a recording's channels enter; which recorded channel becomes which gateway channel leaves. */

import type { ChannelConfig, MachineClassConfig } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { Recording } from '../recordings/recording.ts';

export interface PlannedChannel {
  /** Name as the gateway knows it. */
  readonly channel: string;
  readonly config: ChannelConfig;
}

/** Recorded channel name -> what becomes of it; a `fields` mapping may use one member for several channels. */
export type ChannelPlan = ReadonlyMap<string, readonly PlannedChannel[]>;

/**
 * Recorded channel name -> gateway channels, by the rules of `ingest`: a `fields` mapping names the members of a
 * message, otherwise a recorded channel is itself; channels that are not declared are left out unless the class
 * has `*`.
 * @throws GatewayError MW_RECORDING when the class uses no channel of the recording
 */
export function planChannels(
  className: string,
  classConfig: MachineClassConfig,
  recording: Recording,
): ChannelPlan {
  const plan = new Map<string, readonly PlannedChannel[]>();
  for (const recorded of recording.channels) {
    const planned = gatewayNames(classConfig, recorded).flatMap((channel) => {
      const config = channelConfig(classConfig, channel);
      return config === undefined ? [] : [{ channel, config }];
    });
    if (planned.length > 0) plan.set(recorded, planned);
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

function channelConfig(classConfig: MachineClassConfig, channel: string): ChannelConfig | undefined {
  const { channels } = classConfig;
  return Object.hasOwn(channels, channel) ? channels[channel] : channels['*'];
}

function gatewayNames(classConfig: MachineClassConfig, recorded: string): string[] {
  const { payload } = classConfig;
  if (payload.format !== 'json' || payload.fields === undefined) return [recorded];
  return Object.entries(payload.fields)
    .filter(([, pointer]) => pointer === `/${recorded}`)
    .map(([channel]) => channel);
}

/** Declared channels that no recording has, as a typo in the name of one leaves them: their columns stay empty. */
export function channelsWithoutData(
  { channels }: MachineClassConfig,
  plans: Iterable<ChannelPlan>,
): string[] {
  const used = new Set([...plans].flatMap((plan) => [...plan.values()].flat()).map(({ channel }) => channel));
  return Object.keys(channels).filter((channel) => channel !== '*' && !used.has(channel));
}

/** The class with `*` spelled out for the channels that really occur, in the order windows carry them. */
export function withWildcardSpelledOut(
  classConfig: MachineClassConfig,
  plans: Iterable<ChannelPlan>,
): MachineClassConfig {
  const { '*': wildcard, ...declared } = classConfig.channels;
  if (wildcard === undefined) return classConfig;
  const used = [...plans].flatMap((plan) => [...plan.values()].flat()).map(({ channel }) => channel);
  const extra = new Set(used.filter((channel) => !Object.hasOwn(declared, channel)));
  const channels = { ...declared };
  for (const channel of [...extra].sort()) channels[channel] = wildcard;
  return { ...classConfig, channels };
}
