// The reference of the benchmarks: aedes, on('publish'), JSON.parse and window statistics in memory; stores nothing.
// Usage: node plain-aedes.mjs PORT

import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const windows = new Map();
const broker = await Aedes.createBroker();
broker.on('publish', (packet, client) => {
  if (!client) return;
  const { t, v } = JSON.parse(packet.payload);
  const start = Math.floor(t / 10_000) * 10_000;
  let window = windows.get(packet.topic);
  if (window === undefined || window.start !== start) {
    window = { start, n: 0, mean: 0, m2: 0, min: Infinity, max: -Infinity };
    windows.set(packet.topic, window);
  }
  window.n += 1;
  const delta = v - window.mean;
  window.mean += delta / window.n;
  window.m2 += delta * (v - window.mean);
  if (v < window.min) window.min = v;
  if (v > window.max) window.max = v;
});
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1', () =>
  process.stdout.write('listening\n'),
);
