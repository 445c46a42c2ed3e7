/**
 * The simulated machines as a process of their own: options come as one JSON argument, MQTT leaves, until the parent
 * goes away or says stop. They meet the gateway through its front door alone, as real sensors do.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../../errors.ts';
import { messageEncoder } from '../publishing/message-encoding.ts';
import { Publisher } from '../publishing/publisher.ts';
import { simulatedMachines, TICK_MS } from './machines.ts';
import { demoTimeline } from './timeline.ts';

export interface SimulatorOptions {
  readonly url: string;
  readonly seed: number;
  readonly speed: number;
  /** Machine class -> topic template with {machine} and {channel}. */
  readonly topics: Readonly<Record<string, string>>;
}

/** Unacknowledged messages at which a machine holds back; a tick makes about eight. */
const MAX_IN_FLIGHT = 2000;
const GIVE_UP_MS = 3_600_000;

async function simulate(options: SimulatorOptions, stopped: AbortSignal): Promise<void> {
  const publisher = new Publisher({
    url: options.url,
    clientId: `millwright-simulator-${process.pid}`,
    qos: 1,
    maxInFlight: MAX_IN_FLIGHT,
    giveUpMs: GIVE_UP_MS,
  });
  await publisher.connect();
  const machines = simulatedMachines(options.seed).map((machine) => ({
    machine,
    encode: messageEncoder(options.topics[machine.machineClass]!),
  }));
  const timeline = demoTimeline(Date.now(), options.speed);
  const startedAtMs = performance.now();
  stopped.addEventListener('abort', () => publisher.interrupt());
  for (let tick = 0; !stopped.aborted; ) {
    const eventMs = timeline.eventMs(performance.now() - startedAtMs);
    if (timeline.startMs + tick * TICK_MS > eventMs) {
      await sleep(TICK_MS / 4, undefined, { signal: stopped }).catch(() => undefined);
      continue;
    }
    for (const { machine, encode } of machines) {
      for (const message of machine.messagesAt(tick)) {
        for (const outgoing of encode(machine.machine, timeline.startMs + message.offsetMs, message)) {
          const room = publisher.publish(outgoing);
          if (room !== null) await room;
        }
      }
    }
    tick += 1;
  }
  await publisher.close();
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
process.on('disconnect', () => stop.abort());
try {
  await simulate(JSON.parse(process.argv[2] ?? '{}') as SimulatorOptions, stop.signal);
} catch (error) {
  process.stderr.write(`error: the simulated machines stopped: ${describeError(error)}\n`);
  process.exitCode = 1;
} finally {
  // The channel to the parent would keep this process alive.
  if (process.connected) process.disconnect();
}
