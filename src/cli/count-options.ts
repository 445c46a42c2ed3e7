/** Options that say how large a plant is, for the estimates of `check` and `history size`. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Counts } from './inspection/wildcard-channels.ts';

export interface CountOptions {
  /** By class. */
  readonly machines: Counts;
  /** By class, of those that `*` stands for. */
  readonly channels: Counts;
}

export function addCountOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--machines <counts>', 'machines of each class for the estimate, as class=n,class=n')
        .argParser(parseCounts)
        .default({}, 'the ids spelled out, at least one'),
    )
    .addOption(
      new Option('--channels <counts>', "channels that '*' stands for on a machine of each class, as class=n")
        .argParser(parseCounts)
        .default({}, 'none of them is in the estimate'),
    );
}

/** `class=n,class=n`. */
function parseCounts(text: string): Counts {
  const entries = text.split(',').map((part) => {
    const [, name, count] = /^([^=]+)=(\d+)$/.exec(part.trim()) ?? [];
    if (name === undefined) throw new InvalidArgumentError('expected class=number, separated by commas');
    return [name, Number(count)] as const;
  });
  return Object.fromEntries(entries);
}
