/** Options every command understands. */

import type { Command } from 'commander';

export interface GlobalOptions {
  readonly config?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** Looked for in this order when neither --config nor MILLWRIGHT_CONFIG is given. */
export const DEFAULT_CONFIG_PATHS = ['millwright.yaml', '/etc/millwright/gateway.yaml'] as const;

/** Adds them to the program, so that they may stand before or after the command's name. */
export function addGlobalOptions(program: Command): void {
  program
    .option(
      '-c, --config <file>',
      'configuration file (default: $MILLWRIGHT_CONFIG, millwright.yaml, /etc/millwright/gateway.yaml)',
    )
    .option('--data-dir <dir>', 'replaces dataDir of the configuration')
    .option('--json', 'report as JSON')
    .option('--debug', 'print the stack of an error');
}
