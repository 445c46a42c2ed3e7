/** Why a connection is not read, as bits of one number; and the names under which that is counted. */

import type { PauseReason } from './ingest-counters.ts';

/** Why a connection is not read; any number of these at once. */
export const Hold = {
  /** CONNECT is with aedes, CONNACK has not been sent. */
  CONNACK: 1,
  /** The ring is full. */
  ROOM: 2,
  /** Too many messages wait for the commit. */
  UNACKED: 4,
  /** Faster than its rate. */
  RATE: 8,
  /** aedes has enough to read. */
  BROKER: 16,
  /** The client does not read what we send. */
  UNREAD: 32,
  STOPPING: 64,
} as const;

/** The others are no one's fault. */
export const PAUSES: ReadonlyMap<number, PauseReason> = new Map([
  [Hold.ROOM, 'room'],
  [Hold.UNACKED, 'unacked'],
  [Hold.RATE, 'rate'],
  [Hold.BROKER, 'broker'],
  [Hold.UNREAD, 'unread'],
]);
