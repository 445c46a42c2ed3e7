/** `millwright replay`: recordings enter, their messages leave over MQTT as the sensors would have sent them. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { GlobalOptions } from './global-options.ts';
import { messageEncoder } from './publishing/message-encoding.ts';
import { ReplayRun } from './publishing/replay-run.ts';
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
import type { PlacedRecording } from './recordings/merge.ts';
import type { RecordingFormat } from './recordings/open.ts';
import { unreadableIn } from './recordings/unreadable-cells.ts';
import { note, printJson } from './terminal/output.ts';

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

export function configure(command: Command): void {
  addRecordingOptions(
    command
      .argument('<files...>', 'recordings: C-MAPSS text, SKAB csv, FEMTO or CWRU npy, any csv; .gz as well')
      .option('--url <url>', 'MQTT broker', 'mqtt://127.0.0.1:1883')
      .option(
        '--topic <template>',
        'with {machine} and, for one message a channel, {channel} (default: by format, see below)',
      )
      .option(
        '--start <time>',
        'event time of the first message, "now" or "recorded" (default: the recording ends now)',
      )
      .addOption(
        new Option('--speed <factor>', '1 is as recorded, 60 a minute a second, or "max"')
          .argParser(parseSpeed)
          .default(Number.POSITIVE_INFINITY, 'max'),
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

Topics unless --topic names another:
${defaultTopics()}

Examples:
  millwright replay test_FD001.txt.gz
  millwright replay Bearing1_2.npy.gz --speed 60 --start now
  millwright replay log.csv --time-column ts --values temp,flow --topic "plant/{machine}/{channel}" --machine pump-1`,
    )
    .action(async (files: string[], _local: unknown, self: Command) => {
      await replay(files, self.optsWithGlobals<ReplayOptions>());
    });
}

/** One line a format. */
function defaultTopics(): string {
  return Object.entries(DEFAULT_TOPICS)
    .map(([format, topic]) => `  ${format.padEnd(7)} ${topic}`)
    .join('\n');
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
  for (const { path, unreadable } of files) unreadable.warnings(path).forEach(note);
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
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  const run = new ReplayRun({ placed, encode, publisher, speed: options.speed, limit });
  const interrupt = () => run.stop();
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    await run.play();
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await publisher.close();
  }
  const summary = run.summary();
  if (options.json) printJson({ ...summary, unreadableCells: unreadableIn(files) });
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
