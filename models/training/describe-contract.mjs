// Prints what the gateway computes for a machine class: features with unit, version and parameters, window, hash.
// Usage: node models/training/describe-contract.mjs CONFIG CLASS [ID...]   (after `npm run build`)

import { loadConfig } from '../../dist/config/load.js';
import { contractHash } from '../../dist/domain/feature-contract.js';
import { fullFeatureId } from '../../dist/domain/feature-vector.js';
import { FeatureExtractor } from '../../dist/features/extractor.js';

const [path, machineClass, ...wanted] = process.argv.slice(2);
const { [machineClass]: config } = loadConfig(path, {}, process.env).machineClasses;
const computed = new FeatureExtractor(config).schema().flatMap(({ channel, specs }) =>
  specs.map(({ id, unit, formulaVersion, params }) => ({
    id: fullFeatureId(channel, id),
    unit,
    formulaVersion,
    params,
  })),
);
const byId = new Map(computed.map((feature) => [feature.id, feature]));
const features = wanted.length === 0 ? computed : wanted.map((id) => byId.get(id));
const { sizeMs, hopMs = sizeMs } = config.window;
const window = { sizeMs, hopMs };
console.log(JSON.stringify({ features, window, hash: contractHash({ features, window }) }));
