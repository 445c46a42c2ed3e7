import { expect, it } from 'vitest';
import { ModelSlot } from '../../../src/inference/model-slot.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';

it('says in the log what the status says of a model that is not installed', () => {
  const errors: object[] = [];
  const slot = new ModelSlot({
    machineClass: 'pump',
    name: 'zz',
    version: 'latest',
    task: 'anomaly',
    modelsDirs: ['/nowhere', '/else'],
    features: [],
    window: { sizeMs: 1000, hopMs: 1000 },
    logger: { ...SILENT, error: (details) => errors.push(details) },
  });
  slot.verify();
  const reason = 'no folder zz/<version> under /nowhere, /else';
  expect(slot.status()).toMatchObject({ state: 'failed', reason });
  expect(errors).toEqual([{ machineClass: 'pump', model: 'zz', code: 'MW_MODEL_INVALID', reason }]);
});
