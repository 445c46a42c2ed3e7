/** The kernel's monotonic clock: one number line for every thread and every process of a boot. */

const ORIGIN_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** ms since some moment of the boot; never steps, and goes on over a restart of the gateway. Stands still in suspend. */
export function bootMonotonicMs(): number {
  return ORIGIN_MS + performance.now();
}
