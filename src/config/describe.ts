/** The effective configuration -> YAML for a person, with every secret masked. */

import { stringify } from 'yaml';
import type { Config } from './schema.ts';
import { maskSecrets } from './secrets.ts';

/** Every key with the value in force, defaults included; passwords, tokens and URL userinfo read `***`. */
export function describeConfig(config: Config): string {
  return stringify(maskSecrets(config), { lineWidth: 0, aliasDuplicateObjects: false });
}
