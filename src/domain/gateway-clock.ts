/** What is known of the gateway's own time of day, in the words that status, log and metrics share. */

export const CLOCK_STATES = ['unsynced', 'provisional', 'synced'] as const;
/**
 * `unsynced`: the time of day is not known; what the gateway stamps is held back until it is. `provisional`: plausible,
 * but confirmed by nobody. `synced`: the time service of the system has set the clock.
 */
export type ClockState = (typeof CLOCK_STATES)[number];

/** What ingest asks the clock before it stamps or judges a sample. */
export interface StampClock {
  /** True where the time of day is believed: senders' clocks are judged by it. */
  readonly isSet: boolean;
  /** True while samples are stamped with the time since boot, for a later correction. */
  readonly holding: boolean;
  /** Time of day minus monotonic time, ms; whole while `holding`. */
  readonly offsetMs: number;
  /** No earlier time of day can be right, ms. */
  readonly floorMs: number;
}

/**
 * A line in the stream of records. `holds`: the records flagged BOOT_TIME behind it count from the boot `bootId`.
 * Otherwise: those before it are told the time, their own plus `offsetMs`.
 */
export interface ClockMark {
  readonly holds: boolean;
  /** False where `offsetMs` is the best guess there was: samples corrected by it are marked uncertain. */
  readonly isSet: boolean;
  /** ms. Of a mark that holds: the best guess at that time. */
  readonly offsetMs: number;
  /** Of the kernel, 36 characters at most. */
  readonly bootId: string;
}

/** A machine whose clock was compared with ours. */
export interface DeviceClock {
  readonly machine: string;
  /** Median of arrival minus event time, ms; positive where the machine's clock is behind. */
  readonly offsetMs: number;
}
