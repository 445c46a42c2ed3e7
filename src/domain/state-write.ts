/** A piece of a machine's own state that must survive a crash together with the window it belongs to. */

/**
 * Written in the same transaction as the window's points. `value` null deletes. Keys are namespaced by the stage
 * that owns them: `window`, `features`, `baseline.model`, `baseline.obs/<startMs>`, `health`.
 */
export interface StateWrite {
  readonly machine: string;
  readonly key: string;
  readonly value: Uint8Array | null;
}
