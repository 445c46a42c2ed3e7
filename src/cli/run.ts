/** `millwright run`: the configuration enters, a running gateway leaves, until a signal stops it. */

import type { Command } from 'commander';
import { createLogger } from '../telemetry/logger.ts';
import { configurationWarnings, readConfiguration } from './configuration.ts';
import type { GlobalOptions } from './global-options.ts';

export function configure(command: Command): void {
  command
    .addHelpText(
      'after',
      `
The log goes to standard error, one JSON line per event. SIGTERM or Ctrl-C stops in order: nothing acknowledged is
lost either way. A second signal ends the process at once.

Example:
  millwright run --config /etc/millwright/gateway.yaml --data-dir /var/lib/millwright`,
    )
    .action(async (_local: unknown, self: Command) => {
      await run(self.optsWithGlobals<GlobalOptions>());
    });
}

async function run(options: GlobalOptions): Promise<void> {
  const config = readConfiguration(options);
  const logger = createLogger(config.log.level);
  for (const warning of configurationWarnings(options, config)) logger.warn({ warning }, 'configuration');
  // A promise nobody waited for is a defect. Going on in an unknown state is worse than a restart.
  process.on('unhandledRejection', (reason) => {
    logger.error(
      { reason: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason) },
      'unhandled rejection',
    );
    process.exit(1);
  });
  // Loaded here, so that --help and a wrong configuration are answered at once.
  const { startGateway } = await import('../gateway.ts');
  const gateway = await startGateway(config, { logger });
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    signals += 1;
    if (signals > 1) process.exit(1);
    logger.info({ signal }, 'stopping');
    void gateway.stop();
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  try {
    await gateway.done;
  } finally {
    // After a failure the parts that still live are stopped in order as well.
    await gateway.stop();
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
  }
}
