/**
 * A recording played over QoS 1 into a gateway that is killed at random moments and started again, until every message
 * of it is acknowledged.
 */

import { type GatewayProcess, startGatewayProcess, waitUntil } from './gateway-process.ts';
import { type SequenceMessage, SequencePublisher } from './sequence-publisher.ts';

export interface MachineRecording {
  readonly machines: number;
  /** Of each machine. */
  readonly messages: number;
  /** The n-th message of a machine; null after the last. */
  messageOf(machine: number, n: number): SequenceMessage | null;
}

export interface Kills {
  readonly kills: number;
  /** The process is gone, the next one not yet there. */
  afterKill?(): void;
}

/** The gateway that is left. @param onEnd takes what has to be done when the test is over */
export async function playKilled(
  options: Parameters<typeof startGatewayProcess>[0] & { readonly mqttPort: number },
  { machines, messages, messageOf }: MachineRecording,
  { kills, afterKill }: Kills,
  onEnd: (cleanup: () => Promise<unknown> | void) => void,
): Promise<GatewayProcess> {
  let gateway = await startGatewayProcess(options);
  onEnd(() => gateway.kill());
  const publishers = Array.from({ length: machines }, (_, machine) => {
    const publisher = new SequencePublisher({
      port: options.mqttPort,
      clientId: `m${machine}`,
      inFlight: 40,
      intervalMs: 1,
      next: (n) => messageOf(machine, n),
    });
    publisher.start();
    return publisher;
  });
  onEnd(() => {
    for (const publisher of publishers) publisher.abandon();
  });
  for (let killed = 0; killed < kills; killed += 1) {
    const share = ((killed + Math.random()) * messages) / kills;
    await waitUntil(
      () => publishers[0]!.acknowledged >= share,
      30_000,
      () => `stuck at ${publishers[0]!.acknowledged} of ${share}\n${gateway.log()}`,
      1,
    );
    await gateway.kill();
    afterKill?.();
    gateway = await startGatewayProcess(options);
  }
  await waitUntil(
    () => publishers.every(({ acknowledged }) => acknowledged === messages),
    60_000,
    () => `messages never acknowledged\n${gateway.log()}`,
  );
  return gateway;
}
