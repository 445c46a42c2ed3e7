/** The fields of a CONNECT and the limits enter, why this client is turned away leaves. */

import type { IngestLimits } from '../config/schema.ts';
import type { RefusalLimit } from './ingest-counters.ts';
import { type ConnectFields, identifierRejected, versionRefused } from './mqtt-packets.ts';

/** MQTT 3.1.1 §3.1.2.10: the server allows one and a half times the keep alive. */
const KEEP_ALIVE_GRACE = 1.5;
/** Control characters, and what was no UTF-8: such an id would deface log and API. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NOT_AN_ID = /[\u0000-\u001f\u007f\ufffd]/;

/** What goes with a refusal. */
export interface Parting {
  /** Last packet for the client. */
  readonly farewell?: Buffer;
  /** What was too much, for the log. */
  readonly detail?: string;
  /** What the operator can do, for the log. */
  readonly hint?: string;
  /** Log lines of another kind than the limit, so that other reasons for the same limit do not silence them. */
  readonly kind?: string;
}

/** Why the client is turned away. */
export interface ConnectRefusal extends Parting {
  readonly limit: RefusalLimit;
  readonly farewell: Buffer;
  readonly detail: string;
}

const SPEAK_3_1_1 =
  'set the client to MQTT 3.1.1 (protocol version 4), or let it publish to a broker that speaks MQTT 5 and set ingest.mode: external';

/** Null for a client that we speak with: MQTT 3.1 or 3.1.1, and an id unless its session is clean. */
export function connectRefused(connect: ConnectFields): ConnectRefusal | null {
  const { protocolLevel, clientIdBytes, clean } = connect;
  const farewell = versionRefused(protocolLevel);
  if (farewell !== undefined) {
    const version = protocolLevel === 5 ? 'MQTT 5' : `MQTT protocol level ${protocolLevel}`;
    const detail = `the client speaks ${version}; the built-in broker speaks MQTT 3.1.1`;
    return { limit: 'protocol', farewell, detail, hint: SPEAK_3_1_1, kind: 'protocol_version' };
  }
  // [MQTT-3.1.3-8], which aedes does not check.
  if (clientIdBytes > 0 || clean) return null;
  const detail = 'empty client id without a clean session';
  return { limit: 'protocol', farewell: identifierRejected(protocolLevel), detail };
}

/** Null if the client is within the limits. */
export function connectBeyond(connect: ConnectFields, limits: IngestLimits): ConnectRefusal | null {
  const { clientId, clientIdBytes, protocolLevel } = connect;
  const farewell = identifierRejected(protocolLevel);
  if (clientIdBytes > limits.maxClientIdBytes) {
    const detail = `client id of ${clientIdBytes} bytes; ingest.limits.maxClientIdBytes is ${limits.maxClientIdBytes}`;
    return { limit: 'client_id', farewell, detail };
  }
  if (NOT_AN_ID.test(clientId))
    return { limit: 'client_id', farewell, detail: 'client id with control characters' };
  return null;
}

/**
 * Silence after which the connection ends, ms. A client that asks for none, or for more than `maxKeepAliveS`, gets
 * that: MQTT 3.1.1 §3.1.2.10 lets a server end what it takes for inactive, whatever the keep alive.
 */
export function allowedSilenceMs({ keepAliveS }: ConnectFields, { maxKeepAliveS }: IngestLimits): number {
  const seconds = keepAliveS === 0 ? maxKeepAliveS : Math.min(keepAliveS, maxKeepAliveS);
  return seconds * 1000 * KEEP_ALIVE_GRACE;
}
