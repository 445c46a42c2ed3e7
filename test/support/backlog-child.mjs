/**
 * Days of samples through the gateway's own path while no sink takes anything, on a clock that runs as fast as the
 * processor does: `node backlog-child.mjs <dist> <options as JSON>`. Prints what it has come to, as JSON.
 *
 * Commits lie as on a real day: the windows of one machine close with the first sample after them, so each machine's
 * points make an outbox row of their own. Samples alone are committed in larger groups, which only the journal sees.
 */

import { statSync } from 'node:fs';
import { join } from 'node:path';

const [dist, optionText] = process.argv.slice(2);
const load = (path) => import(join(dist, path));
const { buildPipeline } = await load('runtime/pipeline-assembly.js');
const { createRing, RingReader, RingWriter } = await load('runtime/record-ring.js');
const { configSchema } = await load('config/schema.js');

const { config, firstMs, durationMs, machines, channelsPerMachine, messagesPerSecond } =
  JSON.parse(optionText);
const SAMPLES_PER_COMMIT = 500;
const REPORTS = 40;

let nowMs = firstMs;
const clock = {
  now: () => nowMs,
  monotonicMs: () => nowMs - firstMs,
  after: () => () => {},
  every: () => () => {},
  nextTurn: setImmediate,
};
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const { pipeline, store } = buildPipeline(configSchema.parse(config), {
  logger: silent,
  clock,
  random: () => 0.5,
  writerOf: () => ({ write: () => Promise.reject(new Error('down')), ping: async () => false, close() {} }),
});
pipeline.recover();

const ring = createRing(1_048_576);
const writer = new RingWriter(ring);
const reader = new RingReader(ring);
const channels = machines * channelsPerMachine;
for (let index = 0; index < channels; index += 1) {
  const machine = `m${Math.floor(index / channelsPerMachine)}`;
  writer.channel({ index, machineClass: 'bench', machine, channel: `c${index % channelsPerMachine}` });
}

/** Thousandths, as sensors send them; a walk around a mean. xorshift32, so that every run is the same. */
let seed = 0x9e3779b9;
function random() {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) / 4_294_967_296;
}
const values = new Float64Array(channels).fill(50);

const total = Math.floor((durationMs / 1000) * messagesPerSecond);
const rssBytes = [];
const startedMs = performance.now();
let uncommitted = 0;
let trimBelowBatch = 0;
for (let i = 0; i < total; i += 1) {
  nowMs = firstMs + Math.floor((i * 1000) / messagesPerSecond);
  const channel = i % channels;
  values[channel] += (random() - 0.5) * 2 + (50 - values[channel]) * 0.05;
  writer.scalar(channel, 0, 0, 0, nowMs, Math.round(values[channel] * 1000) / 1000);
  uncommitted += 1;
  if ((i + 1) % channelsPerMachine === 0) tick();
  if (i % Math.ceil(total / REPORTS) === 0) {
    rssBytes.push(process.memoryUsage.rss());
    // A loop without a pause gives the collector no reason to return anything.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function tick() {
  const spans = reader.peek(4_194_304);
  pipeline.take(spans);
  reader.release(spans.reduce((sum, { from, to }) => sum + to - from, 0));
  pipeline.compute(Number.POSITIVE_INFINITY);
  if (pipeline.waitingResults === 0 && uncommitted < SAMPLES_PER_COMMIT) return;
  pipeline.commit(trimBelowBatch);
  if (uncommitted >= SAMPLES_PER_COMMIT) {
    uncommitted = 0;
    trimBelowBatch = Math.min(pipeline.oldestBatchNeeded(), store.nextBatchId());
    store.idleStep();
  }
}

pipeline.commit(trimBelowBatch);
const [account] = store.ledger().points;
const { bytes } = store;
store.close();
const fileBytes = statSync(join(config.dataDir, 'millwright.db')).size;
const seconds = (performance.now() - startedMs) / 1000;
process.stdout.write(JSON.stringify({ samples: total, account, bytes, fileBytes, rssBytes, seconds }));
