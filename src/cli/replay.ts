/** `millwright replay`: recordings enter, their messages leave over MQTT as the sensors would have sent them. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { GlobalOptions } from './global-options.ts';
import { messageEncoder } from './publishing/message-encoding.ts';
import { Pacer } from './publishing/pacer.ts';
import type { Publisher } from './publishing/publisher.ts';
import {
  addRecordingOptions,
  arrange,
  asRecorded,
  openFiles,
  parseStart,
  type RecordingOptions,
  shift,
  type Timeline,
  wholeNumber,
} from './recording-options.ts';
import { mergeByTime, type PlacedRecording } from './recordings/merge.ts';
import type { RecordingFormat } from './recordings/open.ts';
import { note, printJson } from './terminal/output.ts';
import { Progress } from './terminal/progress.ts';

interface ReplayOptions extends GlobalOptions, RecordingOptions {
  readonly url: string;
  readonly topic?: string;
  readonly speed: number;
  readonly qos: '0' | '1';
  readonly inflight: number;
  readonly limit?: number;
  readonly username?: string;
  readonly clientId: string;
  readonly giveUp: number;
}

const DEFAULT_TOPICS: Record<RecordingFormat, string> = {
  cmapss: 'fleet/{machine}/cycle',
  skab: 'rig/{machine}/row',
  femto: 'rig/{machine}/{channel}',
  cwru: 'rig/{machine}/{channel}',
  csv: 'plant/{machine}/row',
};
const STOP_GRACE_MS = 2000;
const LONGEST_SLEEP_MS = 200;

export function configure(command: Command): void {
  addRecordingOptions(
    command
      .argument('<files...>', 'recordings: C-MAPSS text, SKAB csv, FEMTO or CWRU npy, any csv; .gz as well')
      .option('--url <url>', 'MQTT broker', 'mqtt://127.0.0.1:1883')
      .option(
        '--topic <template>',
        'with {machine} and, for one message a channel, {channel} (default: by format)',
      )
      .option(
        '--start <time>',
        'event time of the first message, "now" or "recorded" (default: the recording ends now)',
      )
      .option(
        '--speed <factor>',
        '1 is as recorded, 60 a minute a second, or "max"',
        parseSpeed,
        Number.POSITIVE_INFINITY,
      )
      .addOption(new Option('--qos <level>', 'MQTT quality of service').choices(['0', '1']).default('1'))
      .option(
        '--inflight <n>',
        'messages on the way before waiting for acknowledgements',
        wholeNumber(1, 65_535),
        1000,
      )
      .option('--limit <n>', 'stop after this many messages', wholeNumber(1))
      .option('--username <name>', 'MQTT user; the password comes from $MILLWRIGHT_MQTT_PASSWORD')
      .option('--client-id <id>', 'MQTT client id', `millwright-replay-${process.pid}`)
      .option('--give-up <seconds>', 'fail after this long without a broker', wholeNumber(1, 86_400), 60),
  )
    .addHelpText(
      'after',
      `
Rows are sent as JSON, {"t":<ms>,"<channel>":<value>,...}, waveforms as binary blocks (docs/payloads.md). With
QoS 1 the command ends when every message is acknowledged, and sends again what a broken connection left open.
A gateway takes samples of the past only within ingest.clockGuard.maxPastMs; 0 there accepts any age.

Examples:
  millwright replay test_FD001.txt.gz
  millwright replay Bearing1_2.npy.gz --speed 60 --start now
  millwright replay log.csv --time-column ts --values temp,flow --topic "plant/{machine}/{channel}" --machine pump-1`,
    )
    .action(async (files: string[], _local: unknown, self: Command) => {
      await replay(files, self.optsWithGlobals<ReplayOptions>());
    });
}

function parseSpeed(text: string): number {
  if (text === 'max') return Number.POSITIVE_INFINITY;
  const speed = Number(text);
  if (!(speed > 0) || speed === Number.POSITIVE_INFINITY)
    throw new InvalidArgumentError('a number above 0, or "max"');
  return speed;
}

async function replay(paths: readonly string[], options: ReplayOptions): Promise<void> {
  const files = openFiles(paths, options);
  const template = options.topic ?? DEFAULT_TOPICS[files[0]!.format];
  const encode = messageEncoder(template);
  const timeline = arrange(files, options.parallel ?? false);
  const placed = placeInTime(timeline, options.start);
  const { Publisher } = await import('./publishing/publisher.ts');
  const publisher = new Publisher({
    url: options.url,
    clientId: options.clientId,
    qos: options.qos === '0' ? 0 : 1,
    maxInFlight: options.inflight,
    username: options.username,
    password: process.env['MILLWRIGHT_MQTT_PASSWORD'],
    giveUpMs: options.giveUp * 1000,
  });
  await publisher.connect();
  const run = new ReplayRun(placed, encode, publisher, options);
  const interrupt = () => run.stop();
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    await run.play();
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await publisher.close();
  }
  const summary = run.summary();
  if (options.json) printJson(summary);
  else {
    note(
      `${summary.acknowledged} of ${summary.messages} messages ${options.qos === '1' ? 'acknowledged' : 'sent'} in ` +
        `${summary.seconds.toFixed(1)} s (${summary.messagesPerSecond.toFixed(0)}/s), ${summary.machines} machines, ` +
        `${summary.resent} sent again`,
    );
  }
  if (summary.interrupted) process.exitCode = 1;
}

/** Unless asked for, no event lies in the future when everything is sent at once. */
function placeInTime(timeline: Timeline, start: string | undefined): PlacedRecording[] {
  const now = Date.now();
  const endsNow = now - Math.ceil(timeline.lastMs);
  if (start === 'recorded') return asRecorded(timeline.placed, endsNow);
  if (start === 'now') return shift(timeline.placed, now);
  return shift(timeline.placed, start === undefined ? endsNow : parseStart(start));
}

interface ReplaySummary {
  readonly messages: number;
  readonly acknowledged: number;
  readonly resent: number;
  readonly reconnects: number;
  readonly machines: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly messagesPerSecond: number;
  readonly ackLatencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly firstEventMs: number | null;
  readonly lastEventMs: number | null;
  readonly interrupted: boolean;
}

/** One pass over the timeline. */
class ReplayRun {
  readonly #placed: readonly PlacedRecording[];
  readonly #encode: ReturnType<typeof messageEncoder>;
  readonly #publisher: Publisher;
  readonly #options: ReplayOptions;
  readonly #startedAtMs = performance.now();
  #stopped = false;
  #endedAtMs = 0;
  #bytes = 0;
  #firstEventMs: number | null = null;
  #lastEventMs: number | null = null;

  constructor(
    placed: readonly PlacedRecording[],
    encode: ReturnType<typeof messageEncoder>,
    publisher: Publisher,
    options: ReplayOptions,
  ) {
    this.#placed = placed;
    this.#encode = encode;
    this.#publisher = publisher;
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
    this.#publisher.interrupt();
  }

  /** @throws GatewayError MW_INGEST_EXTERNAL when the broker stays away */
  async play(): Promise<void> {
    const total = this.#total();
    const progress = new Progress(total);
    const timer = setInterval(() => {
      const { acknowledged, inFlight } = this.#publisher.counts;
      progress.update(acknowledged, `${inFlight} in flight`);
    }, 200);
    try {
      await this.#sendAll(total);
      await this.#settle();
    } finally {
      clearInterval(timer);
      progress.clear();
      this.#endedAtMs = performance.now();
    }
  }

  summary(): ReplaySummary {
    const { published, acknowledged, resent, reconnects } = this.#publisher.counts;
    const seconds = (this.#endedAtMs - this.#startedAtMs) / 1000;
    const latency = (q: number) => Math.round(this.#publisher.latencyQuantile(q) * 1000) / 1000;
    return {
      messages: published,
      acknowledged,
      resent,
      reconnects,
      machines: new Set(this.#placed.map(({ recording }) => recording.machine)).size,
      bytes: this.#bytes,
      seconds: Math.round(seconds * 1000) / 1000,
      messagesPerSecond: Math.round(acknowledged / seconds),
      ackLatencyMs: { p50: latency(0.5), p99: latency(0.99), max: latency(1) },
      firstEventMs: this.#firstEventMs,
      lastEventMs: this.#lastEventMs,
      interrupted: this.#stopped,
    };
  }

  #total(): number {
    const messages = this.#placed.reduce((sum, { recording }) => sum + recording.messageCount, 0);
    return Math.min(messages, this.#options.limit ?? messages);
  }

  async #sendAll(limit: number): Promise<void> {
    const pacer = new Pacer(this.#options.speed);
    let taken = 0;
    for (const { machine, timeMs, message } of mergeByTime(this.#placed)) {
      if (this.#stopped || taken >= limit) return;
      await this.#moment(pacer, timeMs);
      if (this.#stopped) return;
      for (const outgoing of this.#encode(machine, timeMs, message)) {
        this.#bytes += outgoing.payload.length;
        const room = this.#publisher.publish(outgoing);
        if (room !== null) await room;
      }
      taken += 1;
      this.#firstEventMs ??= timeMs;
      this.#lastEventMs = timeMs;
    }
  }

  /** Long waits are cut into slices, so that an interrupt is heard. */
  async #moment(pacer: Pacer, timeMs: number): Promise<void> {
    for (;;) {
      const waitMs = pacer.waitMs(timeMs, performance.now());
      if (waitMs === 0 || this.#stopped) return;
      await sleep(Math.min(waitMs, LONGEST_SLEEP_MS));
    }
  }

  /** After an interrupt the acknowledgements on the way get a moment, not for ever. */
  async #settle(): Promise<void> {
    if (!this.#stopped) await this.#publisher.drained();
    if (this.#publisher.counts.inFlight === 0) return;
    await Promise.race([this.#publisher.drained(), sleep(STOP_GRACE_MS)]);
  }
}
