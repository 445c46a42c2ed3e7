/** Identity of what is measured. */

/**
 * One measured channel of one machine. `index` is dense, assigned at first sight, persisted in the store and never
 * reused, so that a record can name its channel in four bytes.
 */
export interface ChannelRef {
  readonly index: number;
  readonly machineClass: string;
  readonly machine: string;
  readonly channel: string;
}
