/**
 * The training side against the gateway's own numbers: the Python tools read the table that `millwright extract` writes
 * and find, for the shipped graph, the error its report states.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MILLWRIGHT, REPOSITORY, temporaryDirectory } from '../support/gateway-process.ts';

const DATA = process.env['MILLWRIGHT_DATA'] ?? join(REPOSITORY, '../shared/data');
const PYTHON = process.env['MILLWRIGHT_PYTHON'] ?? 'python3';
const NEEDED = 'import lightgbm, numpy, onnx, onnxruntime, sklearn';

const hasPython = spawnSync(PYTHON, ['-c', NEEDED], { stdio: 'ignore' }).status === 0;
const hasData = existsSync(join(DATA, 'cmapss/test_FD001.txt.gz'));
if (!hasPython)
  console.log(
    'Python packages of models/training not found (set MILLWRIGHT_PYTHON): training is not checked',
  );
if (!hasData) console.log('C-MAPSS not found (set MILLWRIGHT_DATA): training is not checked');

describe.skipIf(!hasPython || !hasData)('models/training', () => {
  const directory = temporaryDirectory('training');
  afterAll(() => directory.remove());

  it('scores the shipped graph on an extracted table as its report states', () => {
    const table = join(directory.path, 'test_FD001.csv');
    const config = join(REPOSITORY, 'models/training/turbofan.yaml');
    execFileSync(process.execPath, [
      MILLWRIGHT,
      'extract',
      '--config',
      config,
      '-o',
      table,
      join(DATA, 'cmapss/test_FD001.txt.gz'),
    ]);
    const checked = spawnSync(
      PYTHON,
      [join(REPOSITORY, 'models/training/check_models.py'), table, join(DATA, 'cmapss/RUL_FD001.txt')],
      { encoding: 'utf8', env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } },
    );
    expect(checked.stderr).toBe('');
    expect(checked.status).toBe(0);
    const scores = JSON.parse(checked.stdout) as { rmse: number; coverage: number };
    const report = JSON.parse(
      readFileSync(join(REPOSITORY, 'models/turbofan-rul/1.0.0/report.json'), 'utf8'),
    );
    expect(scores.rmse).toBeCloseTo(report.shipped.test.capped.rmse, 3);
    expect(report.test.with_age.capped.rmse.mean).toBeLessThanOrEqual(11.5);
    expect(Math.abs(report.interval.validation.coverage_mean - 0.9)).toBeLessThanOrEqual(0.04);
  });
});
