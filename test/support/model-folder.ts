/** Model folders for tests: any graph with a manifest that fits it. */

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contractHash } from '../../src/domain/feature-contract.ts';
import { floatTensor, onnxModel } from './onnx-builder.ts';

export const WINDOW = { sizeMs: 10_000, hopMs: 10_000 };
/** Features of the test models: channel c, features a and b. */
export const CONTRACT = ['c.a', 'c.b'].map((id) => ({ id, unit: '1', formulaVersion: 1, params: {} }));

/** rul = 2 a + 3 b. */
export function linearModel(): Uint8Array {
  return onnxModel({
    width: 2,
    output: 'rul',
    nodes: [{ operator: 'MatMul', inputs: ['features', 'w'], outputs: ['rul'] }],
    initializers: [floatTensor('w', [2, 1], [2, 3])],
  });
}

export interface FolderInput {
  readonly modelsDir: string;
  readonly name?: string;
  readonly version?: string;
  readonly model?: Uint8Array;
  /** Expected output for features [1, 2]; NaN is allowed. */
  readonly golden?: number;
  /** Changes to the manifest. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

/** Writes <modelsDir>/<name>/<version> and returns the hash of the model. */
export function writeModelFolder(input: FolderInput): string {
  const { modelsDir, name = 'linear', version = '1.0.0', model = linearModel(), golden = 8 } = input;
  const folder = join(modelsDir, name, version);
  mkdirSync(folder, { recursive: true });
  const sha256 = createHash('sha256').update(model).digest('hex');
  const tensor = (dims: number[], data: number[]) => ({
    dtype: 'float32',
    dims,
    data: data.map((value) => (Number.isNaN(value) ? null : value)),
  });
  const features = CONTRACT.map(({ id, unit, formulaVersion, params }) => ({
    ...{ id, unit, formula_version: formulaVersion, params, impute: 'refuse', min: 0, max: 10 },
  }));
  const manifest = {
    schema: 1,
    name,
    version,
    task: 'rul',
    sha256,
    failure_mode: 'wear',
    input: {
      name: 'features',
      dtype: 'float32',
      features,
      feature_config_hash: contractHash({ features: CONTRACT, window: WINDOW }),
      window: { size_ms: WINDOW.sizeMs, hop_ms: WINDOW.hopMs },
      min_coverage: 0.5,
    },
    outputs: [{ name: 'rul', unit: 'cycles', clip: [0, 100], censored_from: 90 }],
    calibration: {
      coverage: 0.9,
      bins: [
        { up_to: 20, below: 2, above: 3 },
        { up_to: null, below: 10, above: 20 },
      ],
    },
    golden: [
      {
        inputs: { features: tensor([1, 2], [1, 2]) },
        outputs: { rul: tensor([1, 1], [golden]) },
        atol: 1e-4,
      },
    ],
    ...input.manifest,
  };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'model.onnx'), model);
  return sha256;
}
