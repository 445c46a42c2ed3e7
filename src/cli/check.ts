/** `millwright check`: a configuration enters; whether it holds, what it means and what it costs leaves. */

import type { Command } from 'commander';
import { describeConfig } from '../config/describe.ts';
import type { Config } from '../config/schema.ts';
import { maskSecrets } from '../config/secrets.ts';
import { GatewayError } from '../errors.ts';
import { configPath, configurationWarnings, findConfigPath, readConfiguration } from './configuration.ts';
import { writeGeneratedFiles } from './configuration-files.ts';
import { addCountOptions, type CountOptions } from './count-options.ts';
import type { GlobalOptions } from './global-options.ts';
import { checkModels, type ModelCheck } from './inspection/model-checks.ts';
import { estimateStorage, type StorageEstimate } from './inspection/storage-estimate.ts';
import { estimateWear, type WearEstimate } from './inspection/wear-estimate.ts';
import { uncountedLines, withWildcardsCounted } from './inspection/wildcard-channels.ts';
import { formatBytes, formatLife, formatTable, note, printJson, printLine } from './terminal/output.ts';

interface CheckOptions extends GlobalOptions, CountOptions {
  readonly writeSchema?: string | true;
}

export function configure(command: Command): void {
  addCountOptions(command)
    .option(
      '--write-schema [dir]',
      'write gateway.schema.json and gateway.example.yaml (default: config) and do no more',
    )
    .addHelpText(
      'after',
      `
Opens no database, no port and no connection. Prints the configuration in force with its secrets masked, what results
take on disk, and how many days without a sink fit. Exit code 78: the configuration is wrong; 1: a model is.

Example:
  millwright check --config gateway.yaml --machines pump=12,fan=4 --channels pump=6`,
    )
    .action((_local: unknown, self: Command) => check(self.optsWithGlobals<CheckOptions>()));
}

function check(options: CheckOptions): void {
  if (options.writeSchema !== undefined) {
    for (const path of writeGeneratedFiles(options.writeSchema === true ? 'config' : options.writeSchema))
      note(`wrote ${path}`);
    return;
  }
  const config = options.json ? validOrReported(options) : readConfiguration(options);
  const path = configPath(options);
  const models = checkModels(config);
  const counted = withWildcardsCounted(config, options.channels);
  const storage = estimateStorage(counted, options.machines);
  const wear = estimateWear(counted, options.machines, storage);
  const uncounted = uncountedLines(config, options.channels);
  for (const warning of configurationWarnings(options, config)) note(`warning: ${warning}`);
  if (options.json)
    printJson({ path, valid: true, models, storage, wear, uncounted, config: maskSecrets(config) });
  else {
    printLine(describeConfig(config).trimEnd());
    printLine();
    printReport(path, models, storage);
    printWear(wear, config.store);
    for (const line of uncounted) printLine(line);
  }
  if (models.some((model) => !model.ok)) process.exitCode = 1;
}

/** A wrong configuration is a finding: it is reported as JSON too, before it ends the command. */
function validOrReported(options: CheckOptions): Config {
  try {
    return readConfiguration(options);
  } catch (error) {
    if (error instanceof GatewayError) {
      const { code, message, hint } = error;
      const path = findConfigPath(options) ?? null;
      printJson({ path, valid: false, code, errors: mistakesIn(message), hint });
    }
    throw error;
  }
}

/** Several mistakes stand below a headline, one a line. */
function mistakesIn(message: string): string[] {
  const [first, ...below] = message.split('\n').map((line) => line.trim());
  return below.length === 0 ? [first!] : below;
}

function printWear(wear: WearEstimate, { flash }: Config['store']): void {
  const assumed = wear.assumedChannels === 0 ? '' : `, channels without periodMs taken as one a second`;
  printLine(
    `writes:  about ${formatBytes(wear.bytesPerDay)} a day at ${wear.messagesPerSecond.toFixed(1)} messages/s${assumed}; ` +
      `${formatLife(wear.lifeDays)} for ${formatBytes(flash.capacityBytes)} at ${flash.writeCycles} cycles`,
  );
  if (wear.bytesPerDay <= wear.budgetBytesPerDay) return;
  note(
    `warning: store.flash.budgetBytesPerDay is ${formatBytes(wear.budgetBytesPerDay)}; ` +
      'store.profile: sd-saver, a longer commitWindowMs or durability: memory write less',
  );
}

function printReport(path: string, models: readonly ModelCheck[], storage: StorageEstimate): void {
  printLine(`configuration  ${path} is valid`);
  for (const { name, version, machineClass, ok, problem } of models) {
    printLine(
      `model          ${name}@${version} of class ${machineClass}: ${ok ? 'sound, fits the features' : problem}`,
    );
  }
  printLine();
  const rows = storage.classes.map((entry) => [
    entry.machineClass,
    String(entry.machines),
    String(entry.featuresPerWindow),
    String(Math.round(entry.windowsPerDay)),
    formatBytes(entry.bytesPerWindow),
    formatBytes(entry.bytesPerDay),
  ]);
  printLine(formatTable(['class', 'machines', 'features', 'windows/day', 'per window', 'per day'], rows));
  printLine(
    `results: ${formatBytes(storage.bytesPerDay)} a day; store.maxBytes ${formatBytes(storage.maxBytes)} holds ` +
      `${storage.outageDays.toFixed(1)} days without any sink`,
  );
}
