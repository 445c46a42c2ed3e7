/** `millwright history`: a data directory enters; what the on-device history takes and holds leaves. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { GatewayError } from '../errors.ts';
import type { HistoryMeasured, HistoryView } from '../store/history/history-view.ts';
import { readConfiguration } from './configuration.ts';
import { addCountOptions, type CountOptions } from './count-options.ts';
import type { GlobalOptions } from './global-options.ts';
import { CSV_HEADER, csvLines } from './history-exports/csv.ts';
import { rrdXmlLines } from './history-exports/rrd-xml.ts';
import {
  formatResolution,
  parseResolution,
  parseTime,
  type SelectionOptions,
  selectRows,
  selectSeries,
} from './history-exports/selection.ts';
import { estimateHistory, type HistoryEstimate } from './inspection/history-estimate.ts';
import { uncountedLines, withWildcardsCounted } from './inspection/wildcard-channels.ts';
import { wholeNumber } from './recording-options.ts';
import { formatBytes, formatTable, note, openLineSink, printJson, printLine } from './terminal/output.ts';
import { printable } from './terminal/safe-text.ts';

interface SizeOptions extends GlobalOptions, CountOptions {}

interface ShowOptions extends GlobalOptions, SelectionOptions {
  readonly limit: number;
}

interface ExportOptions extends GlobalOptions, SelectionOptions {
  readonly format: 'csv' | 'rrd' | 'parquet';
  readonly out?: string;
}

/** The share that is configured where nothing else is said. */
const DEFAULT_XFF = 0.5;

export function configure(command: Command): void {
  command.addHelpText(
    'after',
    `
Everything only reads, also beside a running gateway. The data directory is that of the configuration, or --data-dir
alone; size needs the configuration. Times without a zone are UTC.

Examples:
  millwright history size --config gateway.yaml --machines pump=12 --channels pump=6
  millwright history show --data-dir /var/lib/millwright --machine pump-1 --series temperature --resolution 1h
  millwright history export --data-dir /var/lib/millwright --format rrd --machine pump-1 --out pump-1.xml`,
  );
  const sizing = command
    .command('size')
    .description('bytes per series, per archive and in total: reserved on the first day, and never more');
  addCountOptions(sizing).action((_local: unknown, self: Command) =>
    size(self.optsWithGlobals<SizeOptions>()),
  );
  command
    .command('list')
    .description('every series with its resolutions and its newest row')
    .action((_local: unknown, self: Command) => withHistory(self.optsWithGlobals<GlobalOptions>(), list));
  selecting(command.command('show').description('rows of one series, newest last'))
    .option('--limit <n>', 'at most this many, the newest', wholeNumber(1), 50)
    .action((_local: unknown, self: Command) => withHistory(self.optsWithGlobals<ShowOptions>(), show));
  selecting(
    command.command('export').description('rows of all series, or of those that are named, to use elsewhere'),
  )
    .addOption(
      new Option('--format <format>', 'rrd: XML for rrdtool restore')
        .choices(['csv', 'rrd', 'parquet'])
        .default('csv'),
    )
    .option('-o, --out <file>', 'write here (default: standard output; parquet needs it)')
    .action((_local: unknown, self: Command) =>
      withHistory(self.optsWithGlobals<ExportOptions>(), exportRows),
    );
}

function selecting(command: Command): Command {
  return command
    .option('--machine <id>', 'only this machine')
    .option('--series <name>', 'only this series: <channel>, or <channel>.<feature>')
    .option('--from <time>', 'rows from here on', parseTime)
    .option('--to <time>', 'rows before this', parseTime)
    .option('--resolution <step>', 'only rows of this length, such as 60s, 15min, 1h', parseResolution);
}

async function withHistory<O extends GlobalOptions>(
  options: O,
  use: (view: HistoryView, options: O, xff: number) => void | Promise<void>,
): Promise<void> {
  const { openStoreReadOnly } = await import('../store/store.ts');
  const isBare = options.dataDir !== undefined && options.config === undefined;
  const config = isBare ? null : readConfiguration(options);
  const xff = config?.history.xff ?? DEFAULT_XFF;
  const store = openStoreReadOnly(config?.dataDir ?? options.dataDir!);
  try {
    await use(store.history(xff), options, xff);
  } finally {
    store.close();
  }
}

async function size(options: SizeOptions): Promise<void> {
  const config = readConfiguration(options);
  const estimate = estimateHistory(withWildcardsCounted(config, options.channels), options.machines);
  const uncounted = config.history.enabled ? uncountedLines(config, options.channels) : [];
  const measured = await measure(config.dataDir);
  if (options.json) {
    printJson({ ...estimate, uncounted, stored: measured });
    return;
  }
  printEstimate(estimate);
  for (const line of uncounted) printLine(line);
  printStored(measured);
}

interface Stored {
  readonly series: number;
  /** Bytes of the archives of every series the store knows, as its records say. */
  readonly archiveBytes: number;
  readonly measured: HistoryMeasured;
}

/** What a store that is already there holds; null where there is none. */
async function measure(dataDir: string): Promise<Stored | null> {
  if (!existsSync(join(dataDir, 'millwright.db'))) return null;
  const { openStoreReadOnly } = await import('../store/store.ts');
  const store = openStoreReadOnly(dataDir);
  try {
    const view = store.history(DEFAULT_XFF);
    const series = view.list();
    const archiveBytes = series
      .flatMap(({ archives }) => archives)
      .reduce((sum, { bytes }) => sum + bytes, 0);
    return { series: series.length, archiveBytes, measured: view.measured() };
  } finally {
    store.close();
  }
}

function printEstimate(estimate: HistoryEstimate): void {
  const rows = estimate.classes.flatMap(({ machineClass, machines, seriesPerMachine, ...each }) => [
    ...each.archives.map(({ stepMs, rows: count, bytes }) => [
      machineClass,
      formatResolution(stepMs),
      String(count),
      String(bytes),
      String(bytes * machines * seriesPerMachine),
    ]),
    [
      machineClass,
      `${machines} x ${seriesPerMachine} series`,
      '',
      String(each.bytesPerSeries),
      String(each.bytes),
    ],
  ]);
  printLine(formatTable(['class', 'rows of', 'rows', 'bytes per series', 'bytes'], rows));
  printLine();
  const { series, maxSeries, archiveBytes, treeBytes, writtenBytesPerDay } = estimate;
  printLine(
    `configured: ${series} series, ${archiveBytes} bytes (${formatBytes(archiveBytes)}), and at most ` +
      `${treeBytes} of the tree above; fills ${formatBytes(writtenBytesPerDay)} of blocks a day`,
  );
  if (series > maxSeries)
    printLine(`${series - maxSeries} of them are refused: history.maxSeries is ${maxSeries}`);
}

function printStored(stored: Stored | null): void {
  if (stored === null) {
    printLine('stored: nothing yet');
    return;
  }
  const { blockBytes, treeBytes: tree, logBytes } = stored.measured;
  printLine(
    `stored: ${stored.series} series, ${stored.archiveBytes} bytes; measured ${blockBytes} of blocks, ` +
      `${tree} of the tree, ${logBytes} of the log`,
  );
}

function list(view: HistoryView, options: GlobalOptions): void {
  const series = view.list();
  if (options.json) printJson(series);
  else if (series.length === 0) note('the history holds no series');
  else
    printLine(
      formatTable(
        ['machine', 'series', 'resolutions', 'until'],
        series.map(({ machine, series: name, archives, untilMs }) => [
          printable(machine),
          printable(name),
          archives.map(({ stepMs }) => formatResolution(stepMs)).join(', '),
          untilMs === null ? '-' : new Date(untilMs).toISOString(),
        ]),
      ),
    );
}

function show(view: HistoryView, options: ShowOptions): void {
  const found = selectSeries(view, options);
  if (found.length > 1)
    throw new GatewayError('MW_USAGE', `${found.length} series match; show takes one`, {
      hint: 'name --machine and --series; millwright history list shows them',
    });
  const resolution = options.resolution ?? found[0]!.archives[0]!.stepMs;
  const [selected] = selectRows(view, found, { ...options, resolution });
  const lines = selected === undefined ? [] : rowObjects(selected.rows).slice(-options.limit);
  if (options.json)
    printJson({ machine: found[0]!.machine, series: found[0]!.series, resolution, rows: lines });
  else if (lines.length === 0) note('no rows in this time');
  else
    printLine(
      formatTable(
        ['time', 'average', 'min', 'max', 'last', 'count'],
        lines.map((line) => Object.values(line).map((value) => (value === null ? '-' : String(value)))),
      ),
    );
}

type Rows = Parameters<typeof csvLines>[0]['rows'];

function rowObjects(rows: Rows) {
  const orNull = (value: number) => (Number.isNaN(value) ? null : value);
  return Array.from(rows.count, (count, i) => ({
    time: new Date(rows.startMs + i * rows.stepMs).toISOString(),
    average: orNull(rows.average[i]!),
    min: orNull(rows.min[i]!),
    max: orNull(rows.max[i]!),
    last: orNull(rows.last[i]!),
    count,
  }));
}

async function exportRows(view: HistoryView, options: ExportOptions, xff: number): Promise<void> {
  const found = selectSeries(view, options);
  const rows = await exporters[options.format](view, found, options, xff);
  if (options.json && options.out !== undefined) printJson({ rows, out: options.out });
  else note(`${rows} rows`);
}

type Exporter = (
  view: HistoryView,
  found: ReturnType<typeof selectSeries>,
  options: ExportOptions,
  xff: number,
) => Promise<number>;

const exporters: Readonly<Record<ExportOptions['format'], Exporter>> = {
  csv: (view, found, options) =>
    writeLines(options.out, csvExport(view, found, options), (line) => line !== CSV_HEADER),
  rrd: (view, found, options, xff) => {
    if (new Set(found.map(({ machine }) => machine)).size > 1)
      throw new GatewayError('MW_USAGE', 'an RRD file holds one machine', { hint: 'name it with --machine' });
    if (options.from !== undefined || options.to !== undefined || options.resolution !== undefined)
      throw new GatewayError('MW_USAGE', 'an RRD file holds all rows', {
        hint: 'leave out --from, --to and --resolution; rrdtool fetch takes them',
      });
    return writeLines(options.out, rrdXmlLines(view, found, xff), (line) => line.startsWith('<row>'));
  },
  parquet: async (view, found, options) => {
    if (options.out === undefined)
      throw new GatewayError('MW_USAGE', 'parquet is written to a file', { hint: 'name it with --out' });
    const { writeParquet } = await import('./history-exports/parquet.ts');
    return writeParquet(options.out, selectRows(view, found, options));
  },
};

function* csvExport(view: HistoryView, found: ReturnType<typeof selectSeries>, options: ExportOptions) {
  yield CSV_HEADER;
  for (const each of selectRows(view, found, options)) yield* csvLines(each);
}

/** @returns how many lines count as rows */
async function writeLines(
  out: string | undefined,
  lines: Iterable<string>,
  isRow: (line: string) => boolean,
): Promise<number> {
  const sink = openLineSink(out);
  let rows = 0;
  try {
    for (const line of lines) {
      await sink.write(line);
      if (isRow(line)) rows += 1;
    }
    await sink.close();
    return rows;
  } catch (error) {
    sink.abort();
    throw error;
  }
}
