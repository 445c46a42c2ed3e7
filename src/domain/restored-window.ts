/** The last window of a machine that an earlier run made durable: what a start knows before the machine speaks. */
export interface RestoredWindow {
  readonly machineClass: string;
  readonly machine: string;
  readonly startMs: number;
  readonly endMs: number;
}
