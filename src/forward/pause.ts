/** A sleep that can be cut short. */

/** Longest delay a Node timer takes without wrapping around. */
const MAX_TIMER_MS = 2_147_483_647;

export class Pause {
  #wake: (() => void) | null = null;

  /** Resolves after `ms`, or at the next `wake()` if that is earlier. One sleeper at a time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), Math.min(ms, MAX_TIMER_MS));
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }

  /** Without effect while nobody sleeps. */
  wake(): void {
    this.#wake?.();
  }
}
