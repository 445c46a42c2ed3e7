/** A configuration whose every key is right by itself -> what is wrong between the keys. */

import { classChecks } from './class-checks.ts';
import { deliveryChecks } from './delivery-checks.ts';
import { historyChecks } from './history-checks.ts';
import { ingestChecks } from './ingest-checks.ts';
import type { ConfigProblem } from './problem.ts';
import type { Config } from './schema.ts';

/** One rule between keys. Pure; yields a problem per violation. */
export type CrossCheck = (config: Config) => Iterable<ConfigProblem>;

/** Every rule, in the order of the file's sections. */
export const CROSS_CHECKS: readonly CrossCheck[] = [
  ...ingestChecks,
  ...classChecks,
  ...deliveryChecks,
  ...historyChecks,
];

/** Every violation of every rule. */
export function crossProblems(config: Config): ConfigProblem[] {
  return CROSS_CHECKS.flatMap((check) => [...check(config)]);
}
