// Raw MQTT 3.1.1 load: pre-encoded PUBLISH packets over many connections, each message its own write, paced by a
// 1 ms tick. Prints one JSON line with what was sent and how long acknowledgements took.
// Usage: node load-generator.mjs '{"port":1883,"connections":100,"qos":1,"ratePerS":10000,"seconds":10,
//   "inFlight":1000,"kind":"json"|"block","blockSamples":4096}'

import { connect } from 'node:net';

const options = JSON.parse(process.argv[2]);
const {
  port,
  connections,
  qos,
  ratePerS,
  seconds,
  inFlight = 1000,
  kind = 'json',
  blockSamples = 4096,
} = options;
const latenciesUs = [];
let sent = 0;
let acknowledged = 0;
let held = 0;

function remainingLength(n) {
  const bytes = [];
  do {
    bytes.push((n & 127) | (n > 127 ? 128 : 0));
    n >>= 7;
  } while (n > 0);
  return Buffer.from(bytes);
}

function connectPacket(id) {
  const clientId = Buffer.from(`bench-${process.pid}-${id}`);
  const head = Buffer.from([0, 4, 77, 81, 84, 84, 4, 2, 0, 60, clientId.length >> 8, clientId.length & 255]);
  return Buffer.concat([Buffer.from([0x10]), remainingLength(head.length + clientId.length), head, clientId]);
}

/** The packet with room for 13 digits of milliseconds, or for a new time in the block header. */
function publishTemplate(id) {
  const topic = Buffer.from(`factory/m${Math.floor(id / 4)}/c${id % 4}`);
  const payload =
    kind === 'json' ? Buffer.from(`{"t":1700000000000,"v":${(20 + id / 64).toFixed(6)}}`) : blockPayload(id);
  const variable = Buffer.concat([
    Buffer.from([topic.length >> 8, topic.length & 255]),
    topic,
    Buffer.alloc(qos ? 2 : 0),
  ]);
  const head = Buffer.concat([
    Buffer.from([0x30 | (qos << 1)]),
    remainingLength(variable.length + payload.length),
  ]);
  const packet = Buffer.concat([head, variable, payload]);
  return { packet, idAt: head.length + variable.length - 2, payloadAt: head.length + variable.length };
}

function blockPayload(id) {
  const bytes = Buffer.from(options.blockTemplate, 'base64');
  const floats = new Float32Array(blockSamples);
  for (let i = 0; i < blockSamples; i += 1) floats[i] = Math.sin(i * 0.05 + id);
  return Buffer.concat([bytes, Buffer.from(floats.buffer)]);
}

async function openConnection(id) {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const client = {
    socket,
    ...publishTemplate(id),
    nextId: 1,
    waiting: new Float64Array(65536),
    pending: 0,
    rest: Buffer.alloc(0),
    lastMs: 0,
  };
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => socket.write(connectPacket(id)));
    socket.once('data', (chunk) =>
      chunk[0] === 0x20 && chunk[3] === 0 ? resolve() : reject(new Error('refused')),
    );
  });
  socket.on('data', (chunk) => receive(client, chunk));
  socket.on('error', () => undefined);
  return client;
}

function receive(client, chunk) {
  const data = client.rest.length > 0 ? Buffer.concat([client.rest, chunk]) : chunk;
  let at = 0;
  const now = performance.now();
  for (; at + 4 <= data.length; at += 4) {
    const id = (data[at + 2] << 8) | data[at + 3];
    if (client.waiting[id] > 0) {
      if (latenciesUs.length < 4_000_000) latenciesUs.push((now - client.waiting[id]) * 1000);
      client.waiting[id] = 0;
      client.pending -= 1;
      acknowledged += 1;
    }
  }
  client.rest = data.subarray(at);
}

function publish(client) {
  if (qos > 0 && client.pending >= inFlight) {
    held += 1;
    return false;
  }
  const packet = Buffer.from(client.packet);
  const nowMs = Math.max(Date.now(), client.lastMs + (kind === 'json' ? 1 : 0));
  client.lastMs = nowMs;
  if (kind === 'json') packet.write(String(nowMs), client.payloadAt + 5, 'latin1');
  else {
    client.blockMs = (client.blockMs ?? nowMs) + (client.blockMs ? options.blockMs : 0);
    packet.writeDoubleLE(client.blockMs, client.payloadAt + options.blockTimeAt);
  }
  if (qos > 0) {
    packet.writeUInt16BE(client.nextId, client.idAt);
    client.waiting[client.nextId] = performance.now();
    client.pending += 1;
    client.nextId = (client.nextId % 65535) + 1;
  }
  client.socket.write(packet);
  sent += 1;
  return true;
}

const clients = await Promise.all(Array.from({ length: connections }, (_, id) => openConnection(id)));
const startMs = performance.now();
let due = 0;
let turn = 0;
const timer = setInterval(() => {
  const elapsedS = (performance.now() - startMs) / 1000;
  if (elapsedS >= seconds) {
    clearInterval(timer);
    setTimeout(finish, 300);
    return;
  }
  const target = Math.floor(elapsedS * ratePerS);
  const limit = ratePerS / 2;
  for (let n = 0; due < target && n < limit; n += 1) {
    publish(clients[turn]);
    turn = (turn + 1) % connections;
    due += 1;
  }
}, 1);

function finish() {
  latenciesUs.sort((a, b) => a - b);
  const at = (q) =>
    latenciesUs.length === 0
      ? null
      : latenciesUs[Math.min(latenciesUs.length - 1, Math.floor(q * latenciesUs.length))] / 1000;
  process.stdout.write(
    `${JSON.stringify({ sent, acknowledged, held, sentPerS: sent / seconds, acknowledgedPerS: acknowledged / seconds, ackP50Ms: at(0.5), ackP99Ms: at(0.99) })}\n`,
  );
  for (const client of clients) client.socket.destroy();
  process.exit(0);
}
