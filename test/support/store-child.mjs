/**
 * Commits in a loop and prints each batch id on a line of its own: `node store-child.mjs <store.js> <options as JSON>`.
 * `when: 'after'` prints an id once its commit has returned, `when: 'before'` one commit too early.
 */

import { writeSync } from 'node:fs';

const [modulePath, optionText] = process.argv.slice(2);
const { openStore } = await import(modulePath);
const { dataDir, storeConfig, commits, when, withResults } = JSON.parse(optionText);

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const store = openStore({
  dataDir,
  config: storeConfig,
  sinks: ['influx'],
  now: () => Date.now(),
  logger: silent,
});

function scalars(batch) {
  const bytes = new Uint8Array(5 * 32);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 5; i += 1) {
    view.setUint32(i * 32, 32, true);
    view.setUint8(i * 32 + 4, 1);
    view.setUint32(i * 32 + 12, batch, true);
    view.setFloat64(i * 32 + 16, 1_780_000_000_000 + batch * 5 + i, true);
    view.setFloat64(i * 32 + 24, batch + i / 8, true);
  }
  return bytes;
}

function results(batch) {
  if (!withResults || batch % 10 !== 0) return [];
  const fields = { rms: batch / 3 };
  const point = { pointClass: 'aggregate', measurement: 'm', tags: { machine: 'a' }, fields, timeMs: batch };
  const stateWrites = [{ machine: 'a', key: 'window', value: Uint8Array.of(batch & 255) }];
  return [{ machine: 'a', closedUntilMs: batch, points: [point], stateWrites }];
}

// Synchronous: what a parent has read was really written before the next commit began.
const print = (text) => writeSync(1, `${text}\n`);
print('open');
for (let n = 0; n < commits; n += 1) {
  const batch = store.nextBatchId();
  if (when === 'before') print(batch);
  const windows = results(batch);
  const windowed = windows.length > 0 ? 25 : 0;
  store.commit({
    journal: scalars(batch),
    acceptedSamples: 5,
    channels: [],
    deadLetters: [],
    settled: { windowed, late: 0, duplicate: 0 },
    results: windows,
    trimBelowBatch: withResults === 'trimming' && windows.length > 0 ? batch - 20 : 0,
  });
  if (when === 'after') print(batch);
  if (windows.length > 0 && withResults === 'trimming') {
    for (const { id, points } of store.readOutbox('influx', 10, 'backlog').slice(0, 1)) {
      store.settleOutbox('influx', id, { delivered: points.length, deadLettered: [] });
    }
    store.idleStep();
  }
}
if (when === 'close') store.close();
