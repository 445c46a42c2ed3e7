/**
 * Rests the MQTT thread for a moment after it read something, so that many small messages come in one turn.
 *
 * Sensors send one message per TCP segment; each costs a wake-up and a read, far more than decoding it. Nobody waits
 * for those messages before the commit, so a rest of two fifths of the commit window costs little: the same sockets are then
 * read with several messages each. A commit ends the rest at once, so acknowledgements are as fast as without it, and
 * while a sender waits for an early commit there is no rest at all.
 *
 * Source of the idea: interrupt moderation of network cards.
 */

/** Longest rest in ms; keep-alives, pages and local subscribers never notice that much. */
const MAX_REST_MS = 20;
const SHARE_OF_COMMIT_WINDOW = 2 / 5;

export interface WakeCell {
  /** Shared counter, one more with every commit. */
  readonly cells: Int32Array;
  readonly index: number;
}

export class ReadCoalescer {
  readonly #cell: WakeCell;
  readonly #restMs: number;
  #scheduled = false;
  #hurried = false;
  #connected = false;
  /** Commits whose message was handled: a later one must end the rest even if it came before the rest began. */
  #seen = 0;

  constructor(cell: WakeCell, commitWindowMs: number) {
    this.#cell = cell;
    this.#restMs = Math.min(MAX_REST_MS, commitWindowMs * SHARE_OF_COMMIT_WINDOW);
  }

  /** Bytes arrived: rest when this turn of the event loop is over. */
  readonly onRead = (): void => {
    if (this.#scheduled || this.#hurried || this.#restMs < 1) return;
    this.#scheduled = true;
    setImmediate(this.#rest);
  };

  /** A connection arrived: the kernel's queue is taken one a turn, and each rest would hold up all behind it. */
  readonly onConnection = (): void => {
    this.#connected = true;
  };

  /** A sender waits for the next commit. */
  hurry(): void {
    this.#hurried = true;
  }

  /** The acknowledgements of a commit are written. */
  committed(): void {
    this.#hurried = false;
    this.#seen = Atomics.load(this.#cell.cells, this.#cell.index);
  }

  readonly #rest = (): void => {
    this.#scheduled = false;
    const connected = this.#connected;
    this.#connected = false;
    if (this.#hurried || connected) return;
    Atomics.wait(this.#cell.cells, this.#cell.index, this.#seen, this.#restMs);
  };
}
