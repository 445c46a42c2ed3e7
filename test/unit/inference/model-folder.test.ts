import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contractHash } from '../../../src/domain/feature-contract.ts';
import { conformalInterval } from '../../../src/inference/conformal.ts';
import { listVersions, readModelFolder } from '../../../src/inference/model-folder.ts';
import { parseManifest, type RulManifest } from '../../../src/inference/model-manifest.ts';
import { assertContract } from '../../../src/inference/model-slot.ts';
import { CONTRACT, WINDOW, writeModelFolder } from '../../support/model-folder.ts';

let modelsDir: string;
beforeEach(() => {
  modelsDir = mkdtempSync(join(tmpdir(), 'millwright-models-'));
});
afterEach(() => rmSync(modelsDir, { recursive: true }));

function read(version = '1.0.0') {
  return readModelFolder(join(modelsDir, 'linear', version), 'linear', version);
}

function rulManifest(): RulManifest {
  writeModelFolder({ modelsDir });
  return read().manifest as RulManifest;
}

describe('readModelFolder', () => {
  it('accepts a folder in order, and the models we ship', () => {
    expect(rulManifest().features.map(({ id }) => id)).toEqual(['c.a', 'c.b']);
    const shipped = resolve(import.meta.dirname, '../../../models');
    for (const name of ['machine-baseline', 'turbofan-rul']) {
      const [version] = listVersions(shipped, name, 'latest');
      expect(readModelFolder(join(shipped, name, version!), name, version!).manifest.name).toBe(name);
    }
  });

  it('refuses a model of which one bit flipped, wherever it flipped', () => {
    writeModelFolder({ modelsDir });
    const path = join(modelsDir, 'linear/1.0.0/model.onnx');
    const model = readFileSync(path);
    for (let byte = 0; byte < model.length; byte++) {
      const flipped = Buffer.from(model);
      flipped[byte]! ^= 1 << (byte % 8);
      writeFileSync(path, flipped);
      expect(() => read()).toThrow(/SHA-256/);
    }
  });

  it('refuses truncated, missing and foreign files with what to do', () => {
    writeModelFolder({ modelsDir });
    truncateSync(join(modelsDir, 'linear/1.0.0/model.onnx'), 40);
    expect(() => read()).toThrow(expect.objectContaining({ code: 'MW_MODEL_INVALID' }));
    rmSync(join(modelsDir, 'linear/1.0.0/model.onnx'));
    expect(() => read()).toThrow(expect.objectContaining({ code: 'MW_MODEL_INVALID' }));
    writeModelFolder({ modelsDir, manifest: { name: 'other' } });
    expect(() => read()).toThrow(/of other@1\.0\.0/);
  });

  it('names the first key of a manifest that is missing or wrong', () => {
    const text = (change: object) => {
      writeModelFolder({ modelsDir, manifest: change as Record<string, unknown> });
      return readFileSync(join(modelsDir, 'linear/1.0.0/manifest.json'), 'utf8');
    };
    expect(() => parseManifest('{')).toThrow('not JSON');
    expect(() => parseManifest(text({ schema: 2 }))).toThrow('schema must be 1');
    expect(() => parseManifest(text({ golden: [] }))).toThrow('golden must hold');
    expect(() => parseManifest(text({ task: 'poetry' }))).toThrow('poetry');
    expect(() => parseManifest(text({ outputs: [{ name: 'rul', unit: 'h', clip: [5, 5] }] }))).toThrow(
      'clip',
    );
    expect(() =>
      parseManifest(text({ calibration: { coverage: 0.9, bins: [{ up_to: 3, below: 1, above: 1 }] } })),
    ).toThrow('end with up_to null');
    expect(() => parseManifest(text({ input: {} }))).toThrow(/input\.\w+ is missing/);
  });

  it('lists versions newest first by number, not by letter', () => {
    for (const version of ['1.2.0', '1.10.0', '0.9.9', '1.9.3']) writeModelFolder({ modelsDir, version });
    expect(listVersions(modelsDir, 'linear', 'latest')).toEqual(['1.10.0', '1.9.3', '1.2.0', '0.9.9']);
    expect(listVersions(modelsDir, 'absent', 'latest')).toEqual([]);
  });
});

describe('the feature contract', () => {
  it('hashes canonical JSON: key order does not matter, feature order does', () => {
    const params = contractHash({
      features: [{ ...CONTRACT[0]!, params: { a: 1, b: 'x' } }],
      window: WINDOW,
    });
    const reordered = contractHash({
      features: [{ ...CONTRACT[0]!, params: { b: 'x', a: 1 } }],
      window: WINDOW,
    });
    expect(reordered).toBe(params);
    const [a, b] = CONTRACT;
    expect(contractHash({ features: [b!, a!], window: WINDOW })).not.toBe(
      contractHash({ features: CONTRACT, window: WINDOW }),
    );
  });

  it('holds when the gateway computes what the model was trained on, and more', () => {
    const extra = { id: 'c.z', unit: 'g', formulaVersion: 3, params: {} };
    expect(() => assertContract(rulManifest(), [extra, ...[...CONTRACT].reverse()], WINDOW)).not.toThrow();
  });

  it('refuses another unit, formula, parameter, window or a missing feature, and says which', () => {
    const manifest = rulManifest();
    const changed = (change: object) => [CONTRACT[0]!, { ...CONTRACT[1]!, ...change }];
    expect(() => assertContract(manifest, changed({ unit: 'mm/s' }), WINDOW)).toThrow(/c\.b .*mm\/s/);
    expect(() => assertContract(manifest, changed({ formulaVersion: 2 }), WINDOW)).toThrow(
      /c\.b .*this gateway has 2/,
    );
    expect(() => assertContract(manifest, changed({ params: { w: 3 } }), WINDOW)).toThrow(
      /c\.b .*parameters/,
    );
    expect(() => assertContract(manifest, [CONTRACT[0]!], WINDOW)).toThrow(/c\.b.*does not compute/);
    expect(() => assertContract(manifest, CONTRACT, { ...WINDOW, hopMs: 5_000 })).toThrow(/10000\/5000/);
  });
});

describe('conformalInterval', () => {
  const { calibration, clip } = {
    calibration: {
      coverage: 0.9,
      bins: [
        { upTo: 20, below: 2, above: 3 },
        { upTo: Number.POSITIVE_INFINITY, below: 10, above: 20 },
      ],
    },
    clip: [0, 100] as const,
  };

  it('takes the quantiles of the bin of the prediction, its upper end included', () => {
    expect(conformalInterval(20, calibration, clip)).toEqual({ low: 18, high: 23 });
    expect(conformalInterval(20.1, calibration, clip)).toEqual({ low: 10.100000000000001, high: 40.1 });
  });

  it('stays within what the output can mean', () => {
    expect(conformalInterval(1, calibration, clip)).toEqual({ low: 0, high: 4 });
    expect(conformalInterval(95, calibration, clip)).toEqual({ low: 85, high: 100 });
  });
});
