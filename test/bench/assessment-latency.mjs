// From the publish of the sample that closes a window to its assessment at the sink: 25 machines, 1 s windows,
// the per-machine baseline through ONNX. Includes the commit window, inference, the outbox commit and the request to
// a sink on this machine that notes the time of arrival.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';

const MACHINES = 25;
const WINDOW_MS = 1000;
const SECONDS = 60;

/** A line-protocol sink that notes when each machine's assessment arrived. */
async function startSink(seen) {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const now = Date.now();
      for (const line of Buffer.concat(chunks).toString().split('\n')) {
        const match =
          /^machine_assessment,.*machine=(\w+).* score_state="scored"|^machine_assessment,.*machine=(\w+)/.exec(
            line,
          );
        if (match)
          seen.push({
            machine: match[1] ?? match[2],
            startMs: Number(line.slice(line.lastIndexOf(' ') + 1)),
            atMs: now,
          });
      }
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

async function openPublisher(port) {
  const socket = connect(port, '127.0.0.1');
  const id = Buffer.from('latency');
  socket.write(
    Buffer.concat([Buffer.from([0x10, 12 + id.length, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, id.length]), id]),
  );
  await once(socket, 'data');
  socket.on('data', () => undefined);
  return (topic, payload) => {
    const variable = Buffer.concat([
      Buffer.from([topic.length >> 8, topic.length & 255]),
      Buffer.from(topic),
    ]);
    const body = Buffer.from(payload);
    const length = variable.length + body.length;
    socket.write(
      Buffer.concat([
        Buffer.from(length < 128 ? [0x30, length] : [0x30, (length & 127) | 128, length >> 7]),
        variable,
        body,
      ]),
    );
  };
}

export async function run({ wanted, record, withTarget, startGateway }) {
  const name = 'publish to assessment at the sink, 25 machines, baseline through ONNX';
  if (!wanted(name)) return;
  const seen = [];
  const sink = await startSink(seen);
  const machineClasses = {
    rig: {
      topics: ['factory/{machine}/row'],
      payload: { format: 'json', allFields: true },
      channels: { a: {}, b: {}, c: {}, d: {} },
      window: { sizeMs: WINDOW_MS, outOfOrderMs: 0 },
      baseline: { enabled: true, minWindows: 20, minSpanMs: 0 },
    },
  };
  const sinks = { bench: { type: 'line-protocol', url: sink.url, flushIntervalMs: 50, gzip: false } };
  const sentAt = new Map();
  await withTarget(
    () => startGateway({ machineClasses, sinks }),
    async (target) => {
      const publish = await openPublisher(target.port);
      const end = Date.now() + SECONDS * 1000;
      for (let n = 0; Date.now() < end; n += 1) {
        for (let m = 0; m < MACHINES; m += 1) {
          const t = Date.now();
          const key = `m${m} ${Math.floor(t / WINDOW_MS) * WINDOW_MS - WINDOW_MS}`;
          if (!sentAt.has(key)) sentAt.set(key, t);
          const wave = (k) => Math.sin(n * 0.7 + k) + Math.sin(n * 1.3 + m + k) * 0.3;
          publish(`factory/m${m}/row`, JSON.stringify({ t, a: wave(1), b: wave(2), c: wave(3), d: wave(4) }));
        }
        await new Promise((r) => setTimeout(r, 100));
      }
      await new Promise((r) => setTimeout(r, 1000));
    },
  );
  sink.close();
  const latencies = seen
    .filter(({ machine, startMs }) => sentAt.has(`${machine} ${startMs}`))
    .map(({ machine, startMs, atMs }) => atMs - sentAt.get(`${machine} ${startMs}`))
    .sort((a, b) => a - b);
  const at = (q) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))];
  record(`${name}: p50`, at(0.5), 'ms');
  record(`${name}: p99`, at(0.99), 'ms');
}
