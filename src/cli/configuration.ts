/** Global options enter, the validated configuration leaves. */

import { existsSync } from 'node:fs';
import { configFileWarnings, loadConfig } from '../config/load.ts';
import type { Config, MachineClassConfig } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { featureProblems } from './feature-checks.ts';
import { DEFAULT_CONFIG_PATHS, type GlobalOptions } from './global-options.ts';

/** The file that is named, else the first that lies in a default place; undefined where there is none. */
export function findConfigPath(options: GlobalOptions): string | undefined {
  const named = options.config ?? process.env['MILLWRIGHT_CONFIG'];
  if (named !== undefined && named !== '') return named;
  return DEFAULT_CONFIG_PATHS.find((path) => existsSync(path));
}

/** @throws GatewayError MW_CONFIG_READ when no file is named and none is in a default place */
export function configPath(options: GlobalOptions): string {
  const found = findConfigPath(options);
  if (found !== undefined) return found;
  throw new GatewayError('MW_CONFIG_READ', 'no configuration file given', {
    hint: 'millwright --config FILE ...; config/gateway.example.yaml is a start, config/demo.yaml the smallest plant',
  });
}

/** @throws GatewayError MW_CONFIG_READ, MW_CONFIG_INVALID */
export function readConfiguration(options: GlobalOptions): Config {
  const overrides = options.dataDir === undefined ? {} : { dataDir: options.dataDir };
  return loadConfig(configPath(options), overrides, process.env, featureProblems);
}

/** What the operator should know before this configuration runs, one line each. */
export function configurationWarnings(options: GlobalOptions, config: Config): string[] {
  return configFileWarnings(configPath(options), config, process.env);
}

/**
 * The class to use: the named one, or the first whose `machines` match.
 * @throws GatewayError MW_USAGE for an unknown name, MW_RECORDING when no class matches the machine
 */
export function chooseClass(
  config: Config,
  machine: string,
  named: string | undefined,
): { name: string; classConfig: MachineClassConfig } {
  const names = Object.keys(config.machineClasses);
  if (named !== undefined && !names.includes(named)) {
    throw new GatewayError('MW_USAGE', `the configuration has no machine class "${named}"`, {
      hint: `it has: ${names.join(', ')}`,
    });
  }
  const name =
    named ?? names.find((n) => config.machineClasses[n]!.machines.some((glob) => matchesGlob(glob, machine)));
  if (name === undefined) {
    throw new GatewayError('MW_RECORDING', `no machine class matches machine ${machine}`, {
      hint: `name one with --class: ${names.join(', ')}`,
    });
  }
  return { name, classConfig: config.machineClasses[name]! };
}

/** `*` any characters, `?` one. */
function matchesGlob(glob: string, machine: string): boolean {
  const pattern = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${pattern}$`).test(machine);
}
