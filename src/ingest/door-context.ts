/** What the front door shares with its connections. */

import type { IngestLimits } from '../config/schema.ts';
import type { BrokerStream } from './broker-stream.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Complaints } from './complaints.ts';
import type { FanOut } from './fan-out.ts';
import type { FrontDoorConnection } from './front-door-connection.ts';
import type { LaneContext } from './publish-lane.ts';

export interface DoorContext extends LaneContext {
  readonly limits: IngestLimits;
  readonly deadLetterPayloadBytes: number;
  readonly complaints: Complaints;
  readonly fanOut: FanOut;
  /** Memory of packets that have not arrived completely. */
  readonly partial: ByteBudget;
  /** Wall clock, ms. */
  now(): number;
  /** Gives the stream to aedes. */
  openBroker(stream: BrokerStream, connection: FrontDoorConnection): void;
  /** Called for every read of an accepted client. */
  onRead(): void;
  /** Called for every connection that arrives. */
  onConnection(): void;
  onReady(connection: FrontDoorConnection): void;
  onClosed(connection: FrontDoorConnection): void;
}
