/** Models enter, the queue of rows in front of each leaves: one for every tensor width. */

import { Batcher, float32Rows, float64Rows } from './batcher.ts';
import { ModelRowBuilder } from './feature-row.ts';
import type { InferenceHost, RunReply } from './inference-host.ts';
import type { RulManifest } from './model-manifest.ts';
import type { WireTensors } from './tensor.ts';

/** Rows in one run; bounds how long the others wait. */
const MAX_BATCH_ROWS = 256;

export class ModelLanes {
  readonly #host: InferenceHost;
  readonly #onRun: (rows: number, reply: RunReply) => void;
  readonly #batchers = new Map<string, Batcher>();
  readonly #rowBuilders = new Map<string, ModelRowBuilder>();

  constructor(host: InferenceHost, onRun: (rows: number, reply: RunReply) => void) {
    this.#host = host;
    this.#onRun = onRun;
  }

  rowBuilder({ sha256, features }: RulManifest): ModelRowBuilder {
    let builder = this.#rowBuilders.get(sha256);
    if (builder === undefined) {
      builder = new ModelRowBuilder(features);
      this.#rowBuilders.set(sha256, builder);
    }
    return builder;
  }

  rul({ sha256, input }: RulManifest): Batcher {
    return this.#batcher(sha256, sha256, (rows) => ({ [input]: float32Rows(rows) }));
  }

  anomaly(sha256: string, width: number): Batcher {
    return this.#batcher(`${sha256}/${width}`, sha256, (rows) => ({ x: float64Rows(rows) }));
  }

  #batcher(key: string, model: string, toInputs: (rows: readonly Float64Array[]) => WireTensors): Batcher {
    let batcher = this.#batchers.get(key);
    if (batcher === undefined) {
      batcher = new Batcher({
        host: this.#host,
        model,
        maxRows: MAX_BATCH_ROWS,
        toInputs,
        onRun: this.#onRun,
      });
      this.#batchers.set(key, batcher);
    }
    return batcher;
  }
}
