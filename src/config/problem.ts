/** One mistake in a configuration file: where it stands, what stands there, what may stand there. */

import type { JsonPath } from './json-path.ts';

export interface ConfigProblem {
  /** The key at fault. */
  readonly path: JsonPath;
  /** What is wrong, with the offending value and the allowed range or kind. One line. */
  readonly message: string;
  /** Point at the key rather than at its value: unknown keys, and mappings in which something is missing. */
  readonly atKey?: boolean;
  /** Other keys the judgement rests on; a cross-field problem is dropped when one of them is itself wrong. */
  readonly involves?: readonly JsonPath[];
}
