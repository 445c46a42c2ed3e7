/** The configuration enters; whether every model it names is sound and fits the features leaves. No model is run. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config, MachineClassConfig } from '../../config/schema.ts';
import { contractHash } from '../../domain/feature-contract.ts';
import { type FeatureSpec, fullFeatureId } from '../../domain/feature-vector.ts';
import { describeError } from '../../errors.ts';
import { FeatureExtractor } from '../../features/extractor.ts';
import { listVersions, readModelFolder } from '../../inference/model-folder.ts';
import type { RulManifest } from '../../inference/model-manifest.ts';

export interface ModelCheck {
  readonly machineClass: string;
  readonly name: string;
  /** As resolved; as configured where it could not be resolved. */
  readonly version: string;
  readonly ok: boolean;
  /** What is wrong; empty if ok. */
  readonly problem: string;
}

const INSTALLATION = fileURLToPath(new URL('../../..', import.meta.url));

/** Where models are looked for: below the working directory, then below the installation. */
export function modelsDirectories(modelsDir: string): string[] {
  return [...new Set([resolve(modelsDir), resolve(INSTALLATION, modelsDir)])];
}

export function checkModels(config: Config): ModelCheck[] {
  const directories = modelsDirectories(config.modelsDir);
  return Object.entries(config.machineClasses).flatMap(([machineClass, classConfig]) => {
    const uses = classConfig.models.map(({ name, version }) => ({ name, version }));
    if (classConfig.baseline.enabled) uses.push({ name: classConfig.baseline.model, version: 'latest' });
    return uses.map((use) => checkUse(machineClass, classConfig, use, directories));
  });
}

function checkUse(
  machineClass: string,
  classConfig: MachineClassConfig,
  use: { readonly name: string; readonly version: string },
  directories: readonly string[],
): ModelCheck {
  for (const directory of directories) {
    for (const version of listVersions(directory, use.name, use.version)) {
      const folder = join(directory, use.name, version);
      if (!existsSync(folder)) continue;
      const result = (problem: string) => ({
        machineClass,
        name: use.name,
        version,
        ok: problem === '',
        problem,
      });
      try {
        const { manifest } = readModelFolder(folder, use.name, version);
        return result(manifest.task === 'rul' ? contractProblem(manifest, classConfig) : '');
      } catch (error) {
        return result(describeError(error));
      }
    }
  }
  const where = directories.join(' or ');
  return {
    machineClass,
    name: use.name,
    version: use.version,
    ok: false,
    problem: `not found below ${where}`,
  };
}

/** Which feature of the model the class does not compute, or computes otherwise; empty if the contract holds. */
function contractProblem(manifest: RulManifest, classConfig: MachineClassConfig): string {
  const { sizeMs, hopMs = sizeMs } = classConfig.window;
  if (manifest.window.sizeMs !== sizeMs || manifest.window.hopMs !== hopMs) {
    return `was trained on windows of ${manifest.window.sizeMs} ms every ${manifest.window.hopMs} ms, the class has ${sizeMs} every ${hopMs}`;
  }
  const computed = new Map<string, FeatureSpec>();
  for (const { channel, specs } of new FeatureExtractor(classConfig).schema()) {
    for (const spec of specs) computed.set(fullFeatureId(channel, spec.id), spec);
  }
  const missing = manifest.features.filter(({ id }) => !computed.has(id)).map(({ id }) => id);
  if (missing.length > 0) {
    return `needs ${missing.length} features the class does not compute, such as ${missing.slice(0, 3).join(', ')}`;
  }
  const features = manifest.features.map(({ id }) => {
    const { unit, formulaVersion, params } = computed.get(id)!;
    return { id, unit, formulaVersion, params };
  });
  if (contractHash({ features, window: { sizeMs, hopMs } }) === manifest.featureConfigHash) return '';
  const other = manifest.features.find(
    ({ unit, formulaVersion }, i) =>
      features[i]!.unit !== unit || features[i]!.formulaVersion !== formulaVersion,
  );
  return `was trained on other formulas or parameters${other === undefined ? '' : `, for example of ${other.id}`}`;
}
