/** What recovery found of each machine enters the board: a machine that stays silent after a restart is still shown. */

import type { AlarmEvent } from '../domain/health.ts';
import type { RestoredWindow } from '../domain/restored-window.ts';
import type { HealthMonitor } from '../health/health-monitor.ts';
import type { Assessor } from '../inference/assessor.ts';
import type { MachineBoard } from './machine-board.ts';

export interface Restored {
  readonly health: HealthMonitor;
  readonly assessor: Assessor;
  /** Machines of the classes that are configured. */
  readonly windows: readonly RestoredWindow[];
}

/** Fills the board of a start. What a class no longer judges is not shown: no window would ever end it. */
export function showRestored(board: MachineBoard, { health, assessor, windows }: Restored): void {
  const known = new Map(health.current().map((each) => [each.machine, each]));
  const alarms: AlarmEvent[] = [];
  for (const window of windows) {
    const { machine, machineClass } = window;
    const isJudged = assessor.needsInference(machineClass);
    board.restored(window, isJudged ? (known.get(machine) ?? null) : null);
    if (isJudged) alarms.push(...health.standingAlarms(machine));
  }
  board.note(alarms.sort((a, b) => a.timeMs - b.timeMs));
}
