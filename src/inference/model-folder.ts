/** A folder under the models directory enters; a model whose bytes are what its manifest says leaves. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describeError, GatewayError } from '../errors.ts';
import { type ModelManifest, parseManifest } from './model-manifest.ts';
import { type OnnxMetadata, readOnnxMetadata } from './onnx-metadata.ts';

/** A model ready to be loaded: these very bytes were hashed, so nothing on disk can be swapped afterwards. */
export interface VerifiedModel {
  readonly manifest: ModelManifest;
  readonly bytes: Uint8Array;
  readonly metadata: OnnxMetadata;
}

const MAX_MODEL_BYTES = 64 * 1024 * 1024;
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
/** What the runtime reads (onnxruntime 1.30: IR 13, ai.onnx 26) is wider; exporters of ours stay within this. */
const MAX_IR_VERSION = 10;
const MAX_OPSET: ReadonlyMap<string, number> = new Map([
  ['', 21],
  ['ai.onnx.ml', 5],
]);

/**
 * Versions of a model below one models directory, newest first by semantic version; empty if there is no folder.
 *
 * @param version a version, or `latest` for all
 */
export function listVersions(modelsDir: string, name: string, version: string): string[] {
  if (version !== 'latest') return [version];
  let entries: string[];
  try {
    entries = readdirSync(join(modelsDir, name));
  } catch {
    return [];
  }
  return entries
    .filter((entry) => /^\d+\.\d+\.\d+$/.test(entry))
    .sort(compareVersions)
    .reverse();
}

/**
 * Reads manifest.json and model.onnx and checks everything that can be checked without running the model.
 *
 * @throws GatewayError MW_MODEL_INVALID: a file is missing, too large or malformed; the hash differs; the graph
 *   uses external data, an unknown operator domain or a newer operator set than allowed
 */
export function readModelFolder(folder: string, name: string, version: string): VerifiedModel {
  const refuse = (message: string, cause?: unknown): never => {
    throw new GatewayError('MW_MODEL_INVALID', `model ${name}@${version}: ${message}`, { cause });
  };
  let manifest: ModelManifest;
  let bytes: Uint8Array;
  let metadata: OnnxMetadata;
  try {
    manifest = parseManifest(readBounded(join(folder, 'manifest.json'), MAX_MANIFEST_BYTES).toString('utf8'));
    bytes = readBounded(join(folder, 'model.onnx'), MAX_MODEL_BYTES);
  } catch (error) {
    return refuse(describeError(error), error);
  }
  if (manifest.name !== name || manifest.version !== version) {
    return refuse(`the manifest is of ${manifest.name}@${manifest.version}`);
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== manifest.sha256) {
    return refuse(`model.onnx has SHA-256 ${sha256}, the manifest says ${manifest.sha256}`);
  }
  try {
    metadata = readOnnxMetadata(bytes);
  } catch (error) {
    return refuse(describeError(error), error);
  }
  const objection = staticObjection(metadata);
  return objection === '' ? { manifest, bytes, metadata } : refuse(objection);
}

/** Why a graph must not be loaded; empty if it may. */
export function staticObjection(metadata: OnnxMetadata): string {
  if (metadata.externalData) return 'the graph keeps tensors in other files';
  if (metadata.irVersion > MAX_IR_VERSION)
    return `IR version ${metadata.irVersion} is above ${MAX_IR_VERSION}`;
  for (const [domain, version] of metadata.opsets) {
    const limit = MAX_OPSET.get(domain);
    const shown = domain === '' ? 'ai.onnx' : domain;
    if (limit === undefined) return `operator domain ${shown} is not allowed`;
    if (version > limit) return `operator set ${shown} ${version} is above ${limit}`;
  }
  for (const domain of metadata.nodeDomains) {
    if (!MAX_OPSET.has(domain)) return `operator domain ${domain} is not allowed`;
  }
  return '';
}

function readBounded(path: string, maxBytes: number): Buffer {
  const { size } = statSync(path);
  if (size > maxBytes) throw new Error(`${path} has ${size} bytes, more than ${maxBytes}`);
  return readFileSync(path);
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  return left[0]! - right[0]! || left[1]! - right[1]! || left[2]! - right[2]!;
}
