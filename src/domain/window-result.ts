/** Everything one closed window leaves behind, made durable in one transaction. */

import type { HistoryWindow } from './history.ts';
import type { Point } from './point.ts';
import type { StateWrite } from './state-write.ts';

export interface WindowResult {
  readonly machine: string;
  /** End of the window: after the commit, no window of this machine that ends at or before it is emitted again. */
  readonly closedUntilMs: number;
  readonly points: readonly Point[];
  readonly stateWrites: readonly StateWrite[];
  /** What the on-device history keeps of the window; absent where there is no history. */
  readonly history?: HistoryWindow;
}
