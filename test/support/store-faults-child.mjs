/**
 * Commits until told otherwise and reports each outcome as a line of JSON: `node store-faults-child.mjs <store.js>
 * <options as JSON>`. Commits go on after an error, as the pipeline does after MW_STORE_WRITE.
 */

import { writeSync } from 'node:fs';

const [modulePath, optionText] = process.argv.slice(2);
const { openStore } = await import(modulePath);
const { dataDir, storeConfig, commits } = JSON.parse(optionText);
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const report = (line) => writeSync(1, `${JSON.stringify(line)}\n`);

const store = openStore({
  dataDir,
  config: storeConfig,
  sinks: ['influx'],
  now: () => Date.now(),
  logger: silent,
});
report({ opened: true });
for (let n = 0; n < commits; n += 1) {
  const batch = store.nextBatchId();
  const journal = new Uint8Array(32);
  const view = new DataView(journal.buffer);
  view.setUint32(0, 32, true);
  view.setUint8(4, 1);
  view.setUint32(12, batch, true);
  const settled = { windowed: 0, late: 0, duplicate: 0 };
  const unit = {
    journal,
    acceptedSamples: 1,
    channels: [],
    deadLetters: [],
    settled,
    results: [],
    trimBelowBatch: 0,
  };
  try {
    store.commit(unit);
    report({ batch });
  } catch (error) {
    report({ batch, code: error.code, status: store.status });
  }
}
