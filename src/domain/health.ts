/** Health assessment and advisory of ISO 13374; alarm states in the words of OPC UA Part 9. */

export const MACHINE_STATES = ['unknown', 'commissioning', 'healthy', 'warning', 'alarm'] as const;
export type MachineState = (typeof MACHINE_STATES)[number];

export interface MachineHealth {
  readonly machineClass: string;
  readonly machine: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly state: MachineState;
  /** 1 = as commissioned, 0 = worst; NaN while unknown. */
  readonly healthIndex: number;
  /** One line a person can act on; empty while healthy. */
  readonly advice: string;
}

export type AlarmTransition = 'raised' | 'cleared';

export interface AlarmEvent {
  readonly machineClass: string;
  readonly machine: string;
  /** What raised it: `anomaly`, `rul`, `sensor`. */
  readonly condition: string;
  readonly transition: AlarmTransition;
  readonly timeMs: number;
  readonly severity: 'warning' | 'alarm';
  /** What, value and limit with units, largest contributions: evidence for the person who reads it. */
  readonly message: string;
}
