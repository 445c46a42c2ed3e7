/** `millwright doctor`: this device and the configuration enter, ok / warn / fail per question leaves. */

import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { findConfigPath, readConfiguration } from './configuration.ts';
import type { GlobalOptions } from './global-options.ts';
import { checkBroker, checkPorts, checkSinks } from './inspection/connection-checks.ts';
import {
  checkClock,
  checkDataDir,
  checkFreeSpace,
  checkMemory,
  checkNativeModule,
  checkNode,
  checkTimeService,
} from './inspection/device-checks.ts';
import { checkStore } from './inspection/store-checks.ts';
import { fail, ok, type Verdict, warn } from './inspection/verdict.ts';
import { printJson, printLine } from './terminal/output.ts';

export function configure(command: Command): void {
  command
    .addHelpText(
      'after',
      `
Looks at the runtime, the disk (with real flushes), the clock, ports, the broker, every sink (with an empty write) and
the models. Without a configuration only the device is looked at. Exit code 1 if anything fails; warnings do not.

Example:
  millwright doctor --config /etc/millwright/gateway.yaml`,
    )
    .action(async (_local: unknown, self: Command) => {
      await doctor(self.optsWithGlobals<GlobalOptions>());
    });
}

async function doctor(options: GlobalOptions): Promise<void> {
  const verdicts = [
    checkNode(process.versions.node),
    checkNativeModule('better-sqlite3'),
    checkNativeModule('onnxruntime-node'),
    checkClock(new Date()),
    checkMemory(),
  ];
  const read = readOrVerdict(options);
  verdicts.push(read.verdict);
  if (read.config !== null) verdicts.push(...(await checkConfigured(read.config)));
  const failed = verdicts.some((verdict) => verdict.status === 'fail');
  if (options.json) printJson({ ok: !failed, checks: verdicts });
  else for (const verdict of verdicts) printVerdict(verdict);
  if (failed) process.exitCode = 1;
}

function readOrVerdict(options: GlobalOptions): { config: Config | null; verdict: Verdict } {
  if (findConfigPath(options) === undefined) {
    const hint = 'name one with --config to have its disk, ports, broker, sinks and models checked';
    return {
      config: null,
      verdict: warn('configuration', 'none given: only the device was looked at', hint),
    };
  }
  try {
    const config = readConfiguration(options);
    return { config, verdict: ok('configuration', 'valid') };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { config: null, verdict: fail('configuration', error.message, error.hint) };
  }
}

async function checkConfigured(config: Config): Promise<Verdict[]> {
  // Loaded here: with a broken feature or inference room the device can still be looked at.
  const { checkModels } = await import('./inspection/model-checks.ts');
  const models = checkModels(config).map(({ name, version, machineClass, ok: sound, problem }) =>
    sound
      ? ok('model', `${name}@${version} is sound and fits class ${machineClass}`)
      : fail(
          'model',
          `${name}@${version} of class ${machineClass}: ${problem}`,
          'install the model again, or correct the class',
        ),
  );
  return [
    checkTimeService(config.clock),
    ...checkDataDir(config.dataDir),
    checkFreeSpace(config.dataDir, config.store),
    ...checkStore(config),
    ...(await checkPorts(config)),
    ...(await checkBroker(config)),
    ...(await checkSinks(config)),
    ...models,
  ];
}

function printVerdict({ name, status, detail, hint }: Verdict): void {
  printLine(`${status.padEnd(4)}  ${name.padEnd(16)} ${detail}`);
  if (hint !== '') printLine(`      ${''.padEnd(16)} Try: ${hint}`);
}
