/** Single rows for one model enter, one run over all that wait leaves; results come back row by row. */

import type { InferenceHost, RunReply } from './inference-host.ts';
import type { ParameterSet, WireTensors } from './tensor.ts';

/** What one row gets out of a run: the whole reply and its index in it. */
export type RowReply = { readonly reply: RunReply; readonly row: number };

export interface PendingRow {
  readonly values: Float64Array;
  readonly parameters: ParameterSet | null;
  /** True once nobody waits for the answer any more. */
  abandoned(): boolean;
  answer(reply: RowReply): void;
}

export interface BatcherOptions {
  readonly host: InferenceHost;
  /** SHA-256 of the model. */
  readonly model: string;
  /** Rows in one run; bounds how long the others wait. */
  readonly maxRows: number;
  /** Inputs from the rows, batch axis first. */
  toInputs(rows: readonly Float64Array[]): WireTensors;
  onRun(rows: number, reply: RunReply): void;
}

/** While one run is under way, rows collect for the next: the batch grows with the load by itself. */
export class Batcher {
  readonly #options: BatcherOptions;
  #waiting: PendingRow[] = [];
  #running = false;

  constructor(options: BatcherOptions) {
    this.#options = options;
  }

  add(row: PendingRow): void {
    this.#waiting.push(row);
    if (this.#waiting.length % (4 * this.#options.maxRows) === 0) this.#dropAbandoned();
    if (!this.#running) {
      this.#running = true;
      // After this turn of the event loop, so that windows closing together run together.
      setImmediate(() => void this.#work());
    }
  }

  async #work(): Promise<void> {
    const { host, model, maxRows, toInputs, onRun } = this.#options;
    for (;;) {
      this.#dropAbandoned();
      const rows = this.#waiting.splice(0, maxRows);
      if (rows.length === 0) break;
      const parameters = rows.flatMap((row) => (row.parameters === null ? [] : [row.parameters]));
      const inputs = toInputs(rows.map(({ values }) => values));
      const reply = await host.run({ model, inputs, parameters });
      onRun(rows.length, reply);
      rows.forEach((row, index) => {
        row.answer({ reply, row: index });
      });
    }
    this.#running = false;
  }

  #dropAbandoned(): void {
    this.#waiting = this.#waiting.filter((row) => !row.abandoned());
  }
}

/** Rows as one float32 tensor [N, F]. */
export function float32Rows(rows: readonly Float64Array[]): { dims: number[]; data: Float32Array } {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    data.set(row, i * width);
  });
  return { dims: [rows.length, width], data };
}

/** Rows as one float64 tensor [N, F]. */
export function float64Rows(rows: readonly Float64Array[]): { dims: number[]; data: Float64Array } {
  const width = rows[0]?.length ?? 0;
  const data = new Float64Array(rows.length * width);
  rows.forEach((row, i) => {
    data.set(row, i * width);
  });
  return { dims: [rows.length, width], data };
}
