/** The few MQTT packets the front door reads and writes itself: bytes of one packet enter, its fields leave. */

export const PacketType = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
} as const;

/** `PUBACK` of MQTT 3.1.1, and of MQTT 5 with reason "success": two bytes of header, two of packet id. */
export const PUBACK_BYTES = 4;

/** Where the parts of a PUBLISH lie; one instance is reused, so that reading one allocates nothing. */
export interface PublishFields {
  qos: number;
  retain: boolean;
  dup: boolean;
  topicFrom: number;
  topicTo: number;
  /** 0 for QoS 0. */
  packetId: number;
  payloadFrom: number;
  payloadTo: number;
}

/** A fresh, empty PublishFields. */
export function publishFields(): PublishFields {
  return {
    qos: 0,
    retain: false,
    dup: false,
    topicFrom: 0,
    topicTo: 0,
    packetId: 0,
    payloadFrom: 0,
    payloadTo: 0,
  };
}

/**
 * Reads the PUBLISH at [at, end) into `out`; false if it breaks the protocol (lengths that do not fit, QoS 3,
 * packet id 0). MQTT 5 properties are skipped.
 * Source: MQTT 3.1.1 §3.3, MQTT 5 §3.3.2.
 */
export function readPublish(
  buffer: Buffer,
  at: number,
  bodyAt: number,
  end: number,
  protocolVersion: 4 | 5,
  out: PublishFields,
): boolean {
  const flags = buffer[at]!;
  out.qos = (flags >> 1) & 3;
  out.retain = (flags & 1) === 1;
  out.dup = (flags & 8) === 8;
  if (out.qos === 3 || bodyAt + 2 > end) return false;
  out.topicFrom = bodyAt + 2;
  out.topicTo = out.topicFrom + (buffer[bodyAt]! << 8) + buffer[bodyAt + 1]!;
  let next = out.topicTo;
  out.packetId = 0;
  if (out.qos > 0) {
    if (next + 2 > end) return false;
    out.packetId = (buffer[next]! << 8) + buffer[next + 1]!;
    // [MQTT-2.3.1-1]
    if (out.packetId === 0) return false;
    next += 2;
  }
  if (protocolVersion === 5) {
    next = afterProperties(buffer, next, end);
    if (next < 0) return false;
  }
  out.payloadFrom = next;
  out.payloadTo = end;
  return next <= end;
}

/** Offset behind a properties section, or -1 where its length is broken. */
function afterProperties(buffer: Buffer, at: number, end: number): number {
  let length = 0;
  let unit = 1;
  for (let i = at; i < at + 4; i++) {
    if (i >= end) return -1;
    const byte = buffer[i]!;
    length += (byte & 0x7f) * unit;
    if (byte < 0x80) return i + 1 + length;
    unit *= 128;
  }
  return -1;
}

/** What the front door needs to know of a CONNECT. */
export interface ConnectFields {
  /** 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5; without the bridge bit. */
  readonly protocolLevel: number;
  readonly clean: boolean;
  readonly keepAliveS: number;
  readonly clientIdBytes: number;
  /** '' for MQTT 5. */
  readonly clientId: string;
  /** Offset of the keep-alive field. */
  readonly keepAliveAt: number;
}

/** Bit 7 of the protocol level marks a bridge (mosquitto and others set it). */
const BRIDGE_BIT = 0x80;
const CLEAN_BIT = 0x02;

/** Reads the CONNECT body at [bodyAt, end); null if it breaks the protocol. Source: MQTT 3.1.1 §3.1. */
export function readConnect(buffer: Buffer, bodyAt: number, end: number): ConnectFields | null {
  if (bodyAt + 2 > end) return null;
  const nameTo = bodyAt + 2 + buffer.readUInt16BE(bodyAt);
  if (nameTo + 4 > end) return null;
  const name = buffer.toString('latin1', bodyAt + 2, nameTo);
  if (name !== 'MQTT' && name !== 'MQIsdp') return null;
  const protocolLevel = buffer[nameTo]! & ~BRIDGE_BIT;
  const keepAliveAt = nameTo + 2;
  // What follows has another shape in MQTT 5, and is not needed to refuse it.
  const clientIdAt = keepAliveAt + 2;
  if (protocolLevel < 5 && clientIdAt + 2 > end) return null;
  const clientIdBytes = protocolLevel < 5 ? buffer.readUInt16BE(clientIdAt) : 0;
  if (clientIdAt + 2 + clientIdBytes > end && protocolLevel < 5) return null;
  return {
    protocolLevel,
    clean: (buffer[nameTo + 1]! & CLEAN_BIT) !== 0,
    keepAliveS: buffer.readUInt16BE(keepAliveAt),
    clientIdBytes,
    clientId: buffer.toString('utf8', clientIdAt + 2, clientIdAt + 2 + clientIdBytes),
    keepAliveAt,
  };
}

const RETURN_CODE = { VERSION: 1, IDENTIFIER: 2 } as const;
const MQTT5_UNSUPPORTED_VERSION = 0x84;

/** CONNACK for a protocol version that is not spoken here; undefined for MQTT 3.1 and 3.1.1. */
export function versionRefused(protocolLevel: number): Buffer | undefined {
  if (protocolLevel === 3 || protocolLevel === 4) return undefined;
  const code = protocolLevel >= 5 ? MQTT5_UNSUPPORTED_VERSION : RETURN_CODE.VERSION;
  return refusingConnack(protocolLevel, code);
}

/** CONNACK for a client id that is not taken. */
export function identifierRejected(protocolLevel: number): Buffer {
  return refusingConnack(protocolLevel, RETURN_CODE.IDENTIFIER);
}

/** CONNACK with a refusing return code, in the form the client's protocol version reads. */
function refusingConnack(protocolLevel: number, returnCode: number): Buffer {
  // MQTT 5 §3.2.2: flags, reason code, and an empty properties section.
  if (protocolLevel >= 5) return Buffer.from([PacketType.CONNACK << 4, 3, 0, returnCode, 0]);
  return Buffer.from([PacketType.CONNACK << 4, 2, 0, returnCode]);
}

/** Writes a PUBACK at `at`. */
export function writePuback(buffer: Buffer, at: number, packetId: number): void {
  buffer[at] = PacketType.PUBACK << 4;
  buffer[at + 1] = 2;
  buffer[at + 2] = packetId >> 8;
  buffer[at + 3] = packetId & 0xff;
}

/** Topic filters a SUBSCRIBE asks for. Source: MQTT 3.1.1 §3.8.3. */
export function filtersAsked(buffer: Buffer, bodyAt: number, end: number): number {
  let filters = 0;
  for (let at = bodyAt + 2; at + 2 <= end; at += 3 + buffer.readUInt16BE(at)) filters += 1;
  return filters;
}

/** Packet id of a PUBREL body; 0, which no packet has, where it is cut short. */
export function packetIdAt(buffer: Buffer, bodyAt: number, end: number): number {
  return bodyAt + 2 > end ? 0 : buffer.readUInt16BE(bodyAt);
}

/** PUBREC or PUBCOMP. Source: MQTT 3.1.1 §3.5, §3.7. */
export function receiptPacket(type: 5 | 7, packetId: number): Buffer {
  return Buffer.from([type << 4, 2, packetId >> 8, packetId & 0xff]);
}
