/** One model a machine class asks for: which version qualifies, and whether it runs. */

import { join } from 'node:path';
import { type ContractFeature, contractHash } from '../domain/feature-contract.ts';
import type { ModelStatus } from '../domain/model-status.ts';
import { describeError, type ErrorCode, GatewayError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { goldenDifference } from './golden.ts';
import type { InferenceHost } from './inference-host.ts';
import { listVersions, readModelFolder, type VerifiedModel } from './model-folder.ts';
import type { RulManifest } from './model-manifest.ts';

export interface SlotOptions {
  readonly machineClass: string;
  readonly name: string;
  /** A version, or `latest`. */
  readonly version: string;
  readonly task: 'rul' | 'anomaly';
  /** Directories to look in, first match of a version wins. */
  readonly modelsDirs: readonly string[];
  /** What this gateway computes for the class; static channels only. */
  readonly features: readonly ContractFeature[];
  readonly window: { readonly sizeMs: number; readonly hopMs: number };
  readonly logger: Logger;
}

/** A model that ended its process this often is not started again. */
const MAX_CRASHES = 3;

/** Tries versions from the newest down until one passes every check: the last good one stays in use. */
export class ModelSlot {
  readonly options: SlotOptions;
  #candidates: VerifiedModel[] = [];
  #state: ModelStatus['state'] = 'loading';
  #reasons: string[] = [];
  #crashes = 0;
  #loading = false;

  constructor(options: SlotOptions) {
    this.options = options;
  }

  /** The model in use, if its session stands. */
  get ready(): VerifiedModel | null {
    return this.#state === 'ready' ? this.#candidates[0]! : null;
  }

  get failed(): boolean {
    return this.#state === 'failed';
  }

  status(): ModelStatus {
    const { machineClass, name, task } = this.options;
    const manifest = this.#candidates[0]?.manifest;
    return {
      machineClass,
      name,
      task,
      version: manifest?.version ?? '',
      sha256: manifest?.sha256 ?? '',
      state: this.#state,
      reason: this.#reasons.join('; '),
    };
  }

  /** Reads every version that may serve and keeps those whose files and contract are in order. */
  verify(): void {
    const { name, version, modelsDirs } = this.options;
    for (const dir of modelsDirs) {
      for (const found of listVersions(dir, name, version)) {
        if (this.#candidates.some(({ manifest }) => manifest.version === found)) continue;
        try {
          const model = readModelFolder(join(dir, name, found), name, found);
          this.#checkContract(model);
          this.#candidates.push(model);
        } catch (error) {
          this.#refuse(error);
        }
      }
      if (this.#candidates.length > 0) return;
    }
    if (this.#reasons.length === 0)
      this.#refuse(
        new GatewayError('MW_MODEL_INVALID', `no folder ${name}/<version> under ${modelsDirs.join(', ')}`),
      );
    this.#state = 'failed';
  }

  /** Loads the best candidate that gives its golden outputs here. Returns early, still loading, if the host ends. */
  async load(host: InferenceHost): Promise<void> {
    if (this.failed || this.#loading) return;
    this.#loading = true;
    this.#state = 'loading';
    while (this.#candidates.length > 0) {
      const model = this.#candidates[0]!;
      const refusal = await this.#tryLoad(host, model);
      if (refusal === null && host.state === 'up') {
        this.#state = 'ready';
        break;
      }
      if (refusal === null || host.state !== 'up') break;
      this.#refuse(refusal);
      this.#candidates.shift();
    }
    this.#loading = false;
    if (this.#candidates.length === 0) this.#state = 'failed';
  }

  /** The process ended while it worked on this model. */
  crashed(sha256: string): void {
    if (this.#candidates[0]?.manifest.sha256 !== sha256) return;
    this.#crashes += 1;
    if (this.#crashes < MAX_CRASHES) return;
    this.#refuse(
      new GatewayError(
        'MW_INFERENCE_DOWN',
        `model ${this.options.name}: ended its process ${MAX_CRASHES} times`,
      ),
    );
    this.#candidates.shift();
    this.#crashes = 0;
    if (this.#candidates.length === 0) this.#state = 'failed';
  }

  /** The process is gone; the session with it. */
  down(): void {
    if (this.#state === 'ready') this.#state = 'loading';
  }

  async #tryLoad(host: InferenceHost, { manifest, bytes }: VerifiedModel): Promise<GatewayError | null> {
    const refuse = (code: ErrorCode, why: string) =>
      new GatewayError(code, `model ${manifest.name}@${manifest.version}: ${why}`);
    const { error } = await host.load(manifest.sha256, bytes);
    if (error !== '') return refuse('MW_MODEL_INVALID', error);
    for (const [index, golden] of manifest.golden.entries()) {
      const reply = await host.run({ model: manifest.sha256, inputs: golden.inputs, parameters: [] });
      if (!reply.ok) return refuse('MW_MODEL_GOLDEN', `golden case ${index}: ${reply.message}`);
      const difference = goldenDifference(golden.outputs, reply.outputs, golden.atol);
      if (difference !== '') return refuse('MW_MODEL_GOLDEN', `golden case ${index}: ${difference}`);
    }
    return null;
  }

  #checkContract({ manifest }: VerifiedModel): void {
    const { task, window, features } = this.options;
    if (manifest.task !== task) {
      throw new GatewayError(
        'MW_MODEL_INVALID',
        `model ${manifest.name}: its task is ${manifest.task}, not ${task}`,
      );
    }
    if (manifest.task === 'rul') assertContract(manifest, features, window);
  }

  #refuse(error: unknown): void {
    const { machineClass, name, logger } = this.options;
    const reason = describeError(error);
    const code = error instanceof GatewayError ? error.code : 'MW_INTERNAL';
    this.#reasons.push(reason);
    logger.error({ machineClass, model: name, code, reason }, 'a model was refused');
  }
}

/**
 * The gateway's own features, picked by the manifest's ids, must hash to what the model was trained on.
 *
 * @throws GatewayError MW_MODEL_CONTRACT naming the first feature that is missing or differs
 */
export function assertContract(
  manifest: RulManifest,
  computed: readonly ContractFeature[],
  window: { readonly sizeMs: number; readonly hopMs: number },
): void {
  const refuse = (why: string): never => {
    throw new GatewayError('MW_MODEL_CONTRACT', `model ${manifest.name}@${manifest.version}: ${why}`);
  };
  const byId = new Map(computed.map((feature) => [feature.id, feature]));
  const features = manifest.features.map((wanted) => {
    const ours = byId.get(wanted.id);
    if (ours === undefined)
      return refuse(`needs the feature ${wanted.id}, which this class does not compute`);
    const differs = describeDifference(wanted, ours);
    return differs === '' ? ours : refuse(`feature ${wanted.id} ${differs}`);
  });
  if (contractHash({ features, window }) === manifest.featureConfigHash) return;
  const { sizeMs, hopMs } = manifest.window;
  if (sizeMs !== window.sizeMs || hopMs !== window.hopMs) {
    refuse(
      `was trained on windows of ${sizeMs} ms every ${hopMs} ms, this class has ${window.sizeMs}/${window.hopMs}`,
    );
  }
  refuse('its feature_config_hash does not match its own feature list');
}

function describeDifference(wanted: ContractFeature, ours: ContractFeature): string {
  if (wanted.unit !== ours.unit) return `was trained in ${wanted.unit}, this class has ${ours.unit}`;
  if (wanted.formulaVersion !== ours.formulaVersion) {
    return `was trained on formula version ${wanted.formulaVersion}, this gateway has ${ours.formulaVersion}`;
  }
  const [a, b] = [contractHash1(wanted), contractHash1(ours)];
  return a === b ? '' : 'was trained with other parameters';
}

function contractHash1(feature: ContractFeature): string {
  return contractHash({ features: [feature], window: { sizeMs: 0, hopMs: 0 } });
}
