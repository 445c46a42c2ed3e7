/** `millwright outbox`: a data directory enters; what waits to be delivered, and what could not be used, leaves. */

import type { Command } from 'commander';
import { encodeLine } from '../forward/line-protocol.ts';
import type { ReadOnlyStore } from '../store/read-only-store.ts';
import { readConfiguration } from './configuration.ts';
import { configureDeadLetters, configureRequeue } from './dead-letters/commands.ts';
import { selectLetters } from './dead-letters/selection.ts';
import type { GlobalOptions } from './global-options.ts';
import { wholeNumber } from './recording-options.ts';
import { formatBytes, formatTable, note, openLineSink, printJson, printLine } from './terminal/output.ts';
import { formatAge } from './terminal/safe-text.ts';

interface ListOptions extends GlobalOptions {
  readonly limit: number;
}

interface ExportOptions extends GlobalOptions {
  readonly out?: string;
}

const POINTS_PER_READ = 5000;

export function configure(command: Command): void {
  command.addHelpText(
    'after',
    `
Everything works beside a running gateway; what a sink took since the gateway's last save still counts as waiting.
The data directory is that of the configuration, or --data-dir alone.

Examples:
  millwright outbox stats --config gateway.yaml
  millwright outbox dead-letters --data-dir /var/lib/millwright --reason malformed_json
  millwright outbox dead-letters --help
  millwright outbox export --data-dir /var/lib/millwright --out backlog.lp`,
  );
  command
    .command('stats')
    .description('backlog of every sink, accounts of samples and points, dead letters by reason')
    .action((_local: unknown, self: Command) => withStore(self.optsWithGlobals<GlobalOptions>(), stats));
  command
    .command('list')
    .description('batches in the outbox, oldest first')
    .option('--limit <n>', 'at most this many', wholeNumber(1), 20)
    .action((_local: unknown, self: Command) => withStore(self.optsWithGlobals<ListOptions>(), list));
  command
    .command('export')
    .description('every point in the outbox as line protocol (ms), to write elsewhere by hand')
    .option('-o, --out <file>', 'write here (default: standard output)')
    .action((_local: unknown, self: Command) =>
      withStore(self.optsWithGlobals<ExportOptions>(), exportPoints),
    );
  configureDeadLetters(command);
  configureRequeue(command.command('requeue'));
}

async function withStore<O extends GlobalOptions>(
  options: O,
  use: (store: ReadOnlyStore, options: O) => void | Promise<void>,
): Promise<void> {
  const { openStoreReadOnly } = await import('../store/store.ts');
  const store = openStoreReadOnly(options.dataDir ?? readConfiguration(options).dataDir);
  try {
    await use(store, options);
  } finally {
    store.close();
  }
}

function stats(store: ReadOnlyStore, options: GlobalOptions): void {
  const sinks = store.sinks().map((sink) => ({ sink, ...store.backlog(sink)! }));
  const reasons = new Map<string, number>();
  for (const { reason } of selectLetters(store, {})) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const ledger = store.ledger();
  if (options.json) {
    printJson({ sinks, ledger, deadLetters: Object.fromEntries(reasons) });
    return;
  }
  const { samples, points } = ledger;
  printLine(
    formatTable(
      [
        'sink',
        'waiting',
        'bytes',
        'oldest',
        'produced',
        'delivered',
        'dead',
        'thinned',
        'evicted',
        'quarantined',
      ],
      sinks.map(({ sink, points: waiting, bytes, oldestMs }) => {
        const account = points.find((entry) => entry.sink === sink)!;
        const counts = [
          account.produced,
          account.delivered,
          account.deadLettered,
          account.degraded,
          account.evicted,
          account.quarantined,
        ];
        return [
          sink,
          String(waiting),
          formatBytes(bytes),
          formatAge(oldestMs, Date.now()),
          ...counts.map(String),
        ];
      }),
    ),
  );
  printLine();
  printLine(
    `samples: accepted ${samples.accepted} = open ${samples.open} + windowed ${samples.windowed} + late ${samples.late} + ` +
      `duplicate ${samples.duplicate} + evicted ${samples.evicted} + quarantined ${samples.quarantined}`,
  );
  for (const [reason, count] of reasons) printLine(`dead letters: ${count} ${reason}`);
  if (reasons.size === 0) printLine('dead letters: none');
}

function list(store: ReadOnlyStore, options: ListOptions): void {
  const rows: { id: number; class: string; points: number; from: string; to: string }[] = [];
  for (let afterId = Number.MIN_SAFE_INTEGER; rows.length < options.limit; ) {
    const batches = store.outboxBatches(afterId, POINTS_PER_READ);
    if (batches.length === 0) break;
    for (const { id, points } of batches) {
      const times = points.map((point) => point.timeMs);
      const [from, to] = [Math.min(...times), Math.max(...times)].map((timeMs) =>
        new Date(timeMs).toISOString(),
      );
      rows.push({ id, class: points[0]!.pointClass, points: points.length, from: from!, to: to! });
    }
    afterId = batches.at(-1)!.id;
  }
  const shown = rows.slice(0, options.limit);
  if (options.json) printJson(shown);
  else if (shown.length === 0) note('the outbox is empty');
  else
    printLine(
      formatTable(
        ['id', 'class', 'points', 'from', 'to'],
        shown.map((row) => Object.values(row).map(String)),
      ),
    );
}

async function exportPoints(store: ReadOnlyStore, options: ExportOptions): Promise<void> {
  const sink = openLineSink(options.out);
  let points = 0;
  try {
    for (let afterId = Number.MIN_SAFE_INTEGER; ; ) {
      const batches = store.outboxBatches(afterId, POINTS_PER_READ);
      if (batches.length === 0) break;
      for (const point of batches.flatMap((batch) => batch.points)) {
        const line = encodeLine(point);
        if (line === '') continue;
        await sink.write(line);
        points += 1;
      }
      afterId = batches.at(-1)!.id;
    }
    await sink.close();
  } catch (error) {
    sink.abort();
    throw error;
  }
  if (options.json && options.out !== undefined) printJson({ points, out: options.out });
  else note(`${points} points`);
}
