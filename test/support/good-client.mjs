// A well-behaved QoS 1 sender in a thread of its own, so that whatever the test does beside it does not delay it.
// workerData: { port, topic, everyMs }. Posts [sentAtMs, latencyMs] pairs (process-wide monotonic clock) once a second.

import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import mqttPacket from 'mqtt-packet';

const { port, topic, everyMs } = workerData;
const toShared = performance.timeOrigin;
const now = () => toShared + performance.now();
const pending = new Map();
let measured = [];
let lost = 0;
let packetId = 0;
let ready = false;

const socket = connect({ port, host: '127.0.0.1', noDelay: true });
const parser = mqttPacket.parser();
parser.on('packet', (packet) => {
  if (packet.cmd === 'connack') ready = packet.returnCode === 0;
  if (packet.cmd !== 'puback') return;
  const sentAtMs = pending.get(packet.messageId);
  if (sentAtMs === undefined) return;
  pending.delete(packet.messageId);
  measured.push([sentAtMs, now() - sentAtMs]);
});
socket.on('data', (chunk) => parser.parse(chunk));
socket.on('error', () => undefined);
socket.on('close', () => {
  lost += 1;
  report();
});
socket.write(
  mqttPacket.generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId: 'good',
    keepalive: 30,
  }),
);

setInterval(() => {
  if (!ready) return;
  packetId = (packetId % 65535) + 1;
  const payload = JSON.stringify({ t: Date.now(), v: packetId });
  pending.set(packetId, now());
  socket.write(mqttPacket.generate({ cmd: 'publish', topic, payload, qos: 1, messageId: packetId }));
}, everyMs);
setInterval(report, 250);

function report() {
  const waitingMs = [...pending.values()].map((sentAtMs) => now() - sentAtMs);
  parentPort.postMessage({ measured, lost, oldestWaitingMs: Math.max(0, ...waitingMs) });
  measured = [];
}
