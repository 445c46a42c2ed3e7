/** A configuration whose shape is right enters, what its feature sets can never compute leaves. */

import type { ConfigProblem } from '../config/problem.ts';
import type { Config, MachineClassConfig } from '../config/schema.ts';
import { FeatureExtractor } from '../features/extractor.ts';
import { FeatureConfigurationError } from '../features/feature-set.ts';

/** At most one mistake per class: an extractor stops at its first. */
export function featureProblems({ machineClasses }: Config): ConfigProblem[] {
  return Object.entries(machineClasses).flatMap(([name, classConfig]) => problemOf(name, classConfig) ?? []);
}

function problemOf(name: string, classConfig: MachineClassConfig): ConfigProblem | null {
  try {
    new FeatureExtractor(classConfig);
    return null;
  } catch (error) {
    if (!(error instanceof FeatureConfigurationError)) throw error;
    return { path: ['machineClasses', name, ...error.path], message: error.problem };
  }
}
