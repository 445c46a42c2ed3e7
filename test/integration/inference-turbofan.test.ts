import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planChannels } from '../../src/cli/extraction/channel-plan.ts';
import { extractFeatures } from '../../src/cli/extraction/extract-features.ts';
import { openRecordings } from '../../src/cli/recordings/open.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Prognosis } from '../../src/domain/assessment.ts';
import { type FeatureVector, fullFeatureId } from '../../src/domain/feature-vector.ts';
import { FeatureExtractor } from '../../src/features/extractor.ts';
import { Assessor } from '../../src/inference/assessor.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { compileInferenceWorker } from '../support/compiled-inference-worker.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const CMAPSS = join(process.env['MILLWRIGHT_DATA'] ?? join(REPOSITORY, '../shared/data'), 'cmapss');
const hasData = existsSync(join(CMAPSS, 'test_FD001.txt.gz'));
if (!hasData) console.log('C-MAPSS not found (set MILLWRIGHT_DATA): the RUL model is not scored');

const config = loadConfig(join(REPOSITORY, 'models/training/turbofan.yaml'), {}, {});
const turbofan = config.machineClasses['turbofan']!;
const extractor = new FeatureExtractor(turbofan);

async function startAssessor(): Promise<Assessor> {
  const assessor = new Assessor({
    classes: config.machineClasses,
    modelsDir: join(REPOSITORY, 'models'),
    config: { ...config.inference, deadlineMs: 20_000 },
    describeFeatures: () =>
      extractor
        .schema()
        .flatMap(({ channel, specs }) =>
          specs.map((spec) => ({ ...spec, id: fullFeatureId(channel, spec.id) })),
        ),
    logger: SILENT,
    monotonicMs: () => performance.now(),
    workerUrl: compileInferenceWorker(),
  });
  await assessor.start();
  return assessor;
}

function lastVectors(): FeatureVector[] {
  return openRecordings(join(CMAPSS, 'test_FD001.txt.gz')).recordings.map((recording) => {
    const source = {
      machine: recording.machine,
      recordings: [{ recording, startMs: Date.UTC(2024, 0, 1) }],
      plan: planChannels('turbofan', turbofan, recording),
      refused: { samples: 0, unknown: new Map<string, number>() },
    };
    return [...extractFeatures('turbofan', turbofan, extractor, source)].at(-1)!;
  });
}

describe('the shipped turbofan model', () => {
  it('passes its contract and golden vectors on this machine with the shipped configuration', async () => {
    const assessor = await startAssessor();
    expect(assessor.models()).toMatchObject([{ name: 'turbofan-rul', state: 'ready', reason: '' }]);
    await assessor.stop();
  });

  it.runIf(hasData)('predicts FD001 through windows, features and inference as its card says', async () => {
    const truth = readFileSync(join(CMAPSS, 'RUL_FD001.txt'), 'utf8').trim().split(/\s+/).map(Number);
    const capped = truth.map((rul) => Math.min(125, rul));
    const vectors = lastVectors();
    const assessor = await startAssessor();
    const answers = await Promise.all(
      vectors.map(
        (vector) =>
          new Promise<Prognosis>((done) => {
            assessor.submit(vector, ({ assessment }) => {
              expect(assessment).toMatchObject({ scoreState: 'scored', reason: '' });
              done(assessment.prognosis!);
            });
          }),
      ),
    );
    const rmse = Math.sqrt(
      answers.reduce((sum, { rul }, i) => sum + (rul - capped[i]!) ** 2, 0) / capped.length,
    );
    const covered = answers.filter(
      ({ rulLow, rulHigh }, i) => rulLow <= capped[i]! && capped[i]! <= rulHigh,
    ).length;
    const card = JSON.parse(readFileSync(join(REPOSITORY, 'models/turbofan-rul/1.0.0/report.json'), 'utf8'));
    expect(answers).toHaveLength(100);
    expect(rmse).toBeLessThan(11);
    expect(Math.abs(rmse - card.test.with_age.capped.rmse.mean)).toBeLessThan(0.35);
    expect(covered).toBe(Math.round(100 * card.interval.test.coverage));
    expect(covered).toBeGreaterThanOrEqual(86);

    const times: number[] = [];
    for (let i = 0; i < 200; i++) {
      const startedMs = performance.now();
      await new Promise((done) => assessor.submit({ ...vectors[0]!, machine: `t${i}` }, done));
      times.push(performance.now() - startedMs);
    }
    times.sort((a, b) => a - b);
    console.log(
      `RMSE ${rmse.toFixed(2)}, covered ${covered}; one vector p50 ${times[100]!.toFixed(2)} ms, p99 ${times[197]!.toFixed(2)} ms`,
    );
    await assessor.stop();
  });
});
