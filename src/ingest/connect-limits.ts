/** The fields of a CONNECT and the limits enter, which limit the client is beyond leaves. */

import type { IngestLimits } from '../config/schema.ts';
import type { RefusalLimit } from './ingest-counters.ts';
import { type ConnectFields, identifierRejected } from './mqtt-packets.ts';

/** MQTT 3.1.1 §3.1.2.10: the server allows one and a half times the keep alive. */
const KEEP_ALIVE_GRACE = 1.5;
/** Control characters, and what was no UTF-8: such an id would deface log and API. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NOT_AN_ID = /[\u0000-\u001f\u007f\ufffd]/;

/** Why the client is turned away. */
export interface ConnectRefusal {
  readonly limit: RefusalLimit;
  readonly farewell: Buffer;
  readonly detail: string;
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
