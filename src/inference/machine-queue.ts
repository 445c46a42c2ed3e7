/** Assessments finished in any order enter, callbacks in submission order per machine leave. */

/** One submitted vector and what became of it. */
export interface Ordered {
  readonly machine: string;
  finished: boolean;
  deliver(): void;
}

export class MachineQueue<T extends Ordered> {
  readonly #byMachine = new Map<string, T[]>();
  /** Unfinished ones, oldest first. */
  readonly #open = new Set<T>();
  #size = 0;

  /** Added and not yet delivered: unfinished ones, and finished ones behind an earlier one of their machine. */
  get size(): number {
    return this.#size;
  }

  get openCount(): number {
    return this.#open.size;
  }

  get oldest(): T | undefined {
    return this.#open.values().next().value;
  }

  add(item: T): void {
    const queue = this.#byMachine.get(item.machine);
    if (queue) queue.push(item);
    else this.#byMachine.set(item.machine, [item]);
    this.#open.add(item);
    this.#size += 1;
  }

  /** Delivers the item, or as soon as every earlier one of its machine is finished. */
  finish(item: T): void {
    if (item.finished) return;
    item.finished = true;
    this.#open.delete(item);
    const queue = this.#byMachine.get(item.machine)!;
    while (queue.length > 0 && queue[0]!.finished) {
      this.#size -= 1;
      queue.shift()!.deliver();
    }
    if (queue.length === 0) this.#byMachine.delete(item.machine);
  }
}
