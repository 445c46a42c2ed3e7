/** docs/features.md against the features there are. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FEATURE_SETS } from '../../../src/config/schema-machine-class.ts';
import { FeatureExtractor } from '../../../src/features/extractor.ts';
import { machineClass } from './signals.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/features.md'), 'utf8');

describe('docs/features.md', () => {
  const features = FEATURE_SETS.filter((set) => set.startsWith('vib.'));
  const extractor = new FeatureExtractor(
    machineClass({
      channels: {
        de: { kind: 'waveform', unit: 'g', sampleRateHz: 25_600, features },
        t: { features: ['proc.basic', 'proc.trend'] },
      },
      usage: true,
      parameters: {
        shaftSpeedRpm: 1500,
        bearing: { rollingElements: 13, ballDiameter: 3.5, pitchDiameter: 25.6 },
        isoGroup: 1,
        isoSupport: 'rigid',
        running: { channel: 't', above: 0 },
      },
    }),
  );
  const specs = extractor.schema().flatMap((group) => group.specs);

  it('has a heading for every set', () => {
    for (const set of FEATURE_SETS) expect(PAGE).toContain(`## \`${set}`);
  });

  it.each(specs.map((spec) => spec.id))('explains %s', (id) => {
    const [name, parameter] = id.split(/\.(.*)/s);
    const spellings = [`\`${id}\``, `\`.${parameter}\``, `\`${name}.<defect>\``, `\`.5000_<top>\``];
    const mentioned = spellings
      .slice(0, id.startsWith('band_rms.5000') ? 4 : 3)
      .some((text) => PAGE.includes(text));
    expect(mentioned).toBe(true);
  });

  it('says version 1 as long as every formula has it', () => {
    expect(specs.every((spec) => spec.formulaVersion === 1)).toBe(
      PAGE.includes('Every formula below is version 1.'),
    );
  });
});
