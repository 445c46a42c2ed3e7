/**
 * Sequences of MQTT packets that are almost right: a real session is mutated where the structure is (types, flags,
 * remaining lengths, string lengths, order and number of packets), cut into writes at random, and sent. Everything
 * follows from one number, so that a sequence that breaks something can be sent again.
 */

import { connectPacket, encode, publishPacket } from './raw-mqtt.ts';
import { seededRandom } from './seeded-random.ts';

export interface FuzzSequence {
  /** Bytes of each write. */
  readonly writes: readonly Buffer[];
  readonly abrupt: boolean;
}

type Random = () => number;
type Mutation = (packets: Buffer[], random: Random) => void;

const TOPICS = [
  'plant/fuzz/load',
  'elsewhere/a',
  '$SYS/x',
  'plant/+/load',
  'a/#',
  '',
  'plant//load',
  'p/'.repeat(40),
  'plant/\u0000/load',
  '__proto__',
  'plant/\u{1f600}/load',
];
const LENGTHS = [0, 1, 2, 127, 128, 255, 16_383, 16_384, 32_767, 65_535];

/** The n-th sequence of a run. */
export function fuzzSequence(seed: number, n: number): FuzzSequence {
  const random = seededRandom(seed + Math.imul(n, 0x9e3779b1));
  const packets = session(random, n);
  const rounds = Math.floor(random() * 5);
  for (let i = 0; i < rounds; i += 1) MUTATIONS[pick(random, MUTATIONS.length)]!(packets, random);
  return { writes: cut(Buffer.concat(packets), random), abrupt: random() < 0.5 };
}

function session(random: Random, n: number): Buffer[] {
  const topic = () => TOPICS[pick(random, TOPICS.length)]!;
  const payload = () =>
    random() < 0.5 ? JSON.stringify({ t: Date.now(), v: n }) : 'x'.repeat(pick(random, 300));
  const middle: (() => Buffer)[] = [
    () => publish(topic(), payload(), 0, random() < 0.2),
    () => publish(topic(), payload(), 1, random() < 0.2),
    () => publish(topic(), payload(), 2, random() < 0.2),
    () => encode({ cmd: 'pubrel', messageId: 1 + pick(random, 5) }),
    () => encode({ cmd: 'pubrec', messageId: 1 + pick(random, 5) }),
    () => encode({ cmd: 'puback', messageId: 1 + pick(random, 5) }),
    () => filters(0x82, topic(), random),
    () => filters(0xa2, topic(), random),
    () => encode({ cmd: 'pingreq' }),
    () => connectPacket(),
    () => encode({ cmd: 'disconnect' }),
    () => encode({ cmd: 'pingresp' }),
    () => encode({ cmd: 'suback', messageId: 1, granted: [0] }),
  ];
  const will = {
    topic: topic() || 'w',
    payload: Buffer.from(payload()),
    qos: 1 as const,
    retain: random() < 0.3,
  };
  const options = {
    // Few ids: sessions are taken over, persistent ones come back.
    clientId: ['fuzz-a', 'fuzz-b', '__proto__', 'constructor', `fuzz-${n}`][pick(random, 5)]!,
    clean: random() < 0.7,
    keepalive: [0, 1, 60, 65_535][pick(random, 4)]!,
    ...(random() < 0.3 ? { will } : {}),
    ...(random() < 0.2 ? { username: 'u', password: Buffer.from('p') } : {}),
  };
  const count = 1 + pick(random, 8);
  return [
    connectPacket(options),
    ...Array.from({ length: count }, () => middle[pick(random, middle.length)]!()),
  ];
}

/** By hand: mqtt-packet refuses to write what no client should send. */
function publish(topic: string, payload: string, qos: number, retain: boolean): Buffer {
  if (qos === 1 && topic !== '' && !/[+#]/.test(topic)) return publishPacket(topic, payload, 1, retain);
  const id = qos === 0 ? Buffer.alloc(0) : Buffer.from([0, 1 + qos]);
  return packet(0x30 | (qos << 1) | (retain ? 1 : 0), Buffer.concat([text(topic), id, Buffer.from(payload)]));
}

function filters(type: number, topic: string, random: Random): Buffer {
  const one = () =>
    Buffer.concat([text(topic), type === 0x82 ? Buffer.from([pick(random, 4)]) : Buffer.alloc(0)]);
  const body = Array.from({ length: 1 + pick(random, 3) }, one);
  return packet(type, Buffer.concat([Buffer.from([0, 1 + pick(random, 9)]), ...body]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function packet(typeByte: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([typeByte]), remaining(body.length), body]);
}

function remaining(length: number): Buffer {
  const bytes: number[] = [];
  let left = length;
  do {
    bytes.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return Buffer.from(bytes);
}

/** Bytes of the fixed header of a packet that begins at 0. */
function headerBytes(bytes: Buffer): number {
  let at = 1;
  while (at < Math.min(4, bytes.length) && bytes[at]! >= 0x80) at += 1;
  return Math.min(at + 1, bytes.length);
}

const MUTATIONS: readonly Mutation[] = [
  function flipBit(packets, random) {
    const bytes = any(packets, random);
    if (bytes.length > 0) bytes[pick(random, bytes.length)]! ^= 1 << pick(random, 8);
  },
  function setByte(packets, random) {
    const bytes = any(packets, random);
    if (bytes.length > 0) bytes[pick(random, bytes.length)] = [0, 0x7f, 0x80, 0xff][pick(random, 4)]!;
  },
  function otherType(packets, random) {
    const bytes = any(packets, random);
    if (bytes.length > 0) bytes[0] = pick(random, 256);
  },
  function wrongLength(packets, random) {
    const i = pick(random, packets.length);
    const bytes = packets[i]!;
    if (bytes.length === 0) return;
    const body = bytes.subarray(headerBytes(bytes));
    const length =
      random() < 0.5 ? LENGTHS[pick(random, LENGTHS.length)]! : body.length + pick(random, 9) - 4;
    packets[i] = Buffer.concat([bytes.subarray(0, 1), remaining(Math.max(0, length)), body]);
  },
  function overlongLength(packets, random) {
    const i = pick(random, packets.length);
    const bytes = packets[i]!;
    if (bytes.length === 0) return;
    const endless = [0xff, 0xff, 0xff, random() < 0.5 ? 0x7f : 0xff, 0x01];
    packets[i] = Buffer.concat([
      bytes.subarray(0, 1),
      Buffer.from(endless),
      bytes.subarray(headerBytes(bytes)),
    ]);
  },
  function wrongStringLength(packets, random) {
    const bytes = any(packets, random);
    const at = headerBytes(bytes) + pick(random, 12);
    if (at + 2 <= bytes.length) bytes.writeUInt16BE(LENGTHS[pick(random, LENGTHS.length)]!, at);
  },
  function cutShort(packets, random) {
    const i = pick(random, packets.length);
    packets[i] = packets[i]!.subarray(0, pick(random, packets[i]!.length + 1));
  },
  function insertBytes(packets, random) {
    const i = pick(random, packets.length);
    const at = pick(random, packets[i]!.length + 1);
    const noise = Buffer.from(Array.from({ length: 1 + pick(random, 40) }, () => pick(random, 256)));
    packets[i] = Buffer.concat([packets[i]!.subarray(0, at), noise, packets[i]!.subarray(at)]);
  },
  function repeat(packets, random) {
    const bytes = any(packets, random);
    for (let i = 0; i < 1 + pick(random, 30); i += 1) packets.push(Buffer.from(bytes));
  },
  function leaveOut(packets, random) {
    if (packets.length > 1) packets.splice(pick(random, packets.length), 1);
  },
  function swap(packets, random) {
    const [i, j] = [pick(random, packets.length), pick(random, packets.length)];
    [packets[i], packets[j]] = [packets[j]!, packets[i]!];
  },
  function splice(packets, random) {
    const [i, j] = [pick(random, packets.length), pick(random, packets.length)];
    const [head, tail] = [packets[i]!, packets[j]!];
    packets[i] = Buffer.concat([
      head.subarray(0, pick(random, head.length + 1)),
      tail.subarray(pick(random, tail.length + 1)),
    ]);
  },
];

/** One packet, to be changed in place. */
function any(packets: Buffer[], random: Random): Buffer {
  const i = pick(random, packets.length);
  packets[i] = Buffer.from(packets[i]!);
  return packets[i];
}

function cut(bytes: Buffer, random: Random): Buffer[] {
  const writes: Buffer[] = [];
  const pieces = 1 + pick(random, 4);
  let from = 0;
  for (let i = 1; i < pieces && from < bytes.length; i += 1) {
    const to = from + pick(random, bytes.length - from + 1);
    writes.push(bytes.subarray(from, to));
    from = to;
  }
  writes.push(bytes.subarray(from));
  return writes;
}

function pick(random: Random, below: number): number {
  return Math.floor(random() * below);
}
