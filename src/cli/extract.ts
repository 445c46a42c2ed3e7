/**
 * `millwright extract`: recordings enter, a table of the features the running gateway would store leaves.
 *
 * No broker and no database take part, but the same windows and the same feature code: what a model is trained on
 * is bit for bit what it will see.
 */

import type { Command } from 'commander';
import type { Config, MachineClassConfig } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { FeatureExtractor } from '../features/extractor.ts';
import { chooseClass, readConfiguration } from './configuration.ts';
import {
  type ChannelPlan,
  channelsWithoutData,
  planChannels,
  withWildcardSpelledOut,
} from './extraction/channel-plan.ts';
import { extractFeatures, type MachineSource, type Refused } from './extraction/extract-features.ts';
import { FeatureTable } from './extraction/feature-table.ts';
import type { GlobalOptions } from './global-options.ts';
import {
  addRecordingOptions,
  arrange,
  asRecorded,
  openFiles,
  parseStart,
  type RecordingOptions,
  shift,
} from './recording-options.ts';
import type { PlacedRecording } from './recordings/merge.ts';
import type { OpenedFile } from './recordings/open.ts';
import { unreadableIn } from './recordings/unreadable-cells.ts';
import { note, openLineSink, printJson } from './terminal/output.ts';

/** Begin of recordings that state no time: a fixed moment, so that the same files always give the same table. */
const UNDATED_START_MS = Date.UTC(2000, 0, 1);

interface ExtractOptions extends GlobalOptions, RecordingOptions {
  readonly class?: string;
  readonly out?: string;
}

export function configure(command: Command): void {
  addRecordingOptions(
    command
      .argument('<files...>', 'recordings: C-MAPSS text, SKAB csv, FEMTO or CWRU npy, any csv; .gz as well')
      .option(
        '--class <name>',
        'machine class of the configuration (default: the first whose machines match)',
      )
      .option('-o, --out <file>', 'write the table here (default: standard output)')
      .option(
        '--start <time>',
        'event time of the first row (default: the time in the files, else 2000-01-01)',
      ),
  )
    .addHelpText(
      'after',
      `
Columns: machine,start_ms,end_ms,coverage,quality, then one per feature id. Numbers are exact (shortest text that
reads back as the same double); a feature that is undefined in a window is an empty cell. What did not get into the
table (cells without a number, channels the class does not declare) is named on standard error and in --json.

Example:
  millwright extract --config models/training/turbofan.yaml train_FD001.txt.gz --out table.csv`,
    )
    .action(async (files: string[], _local: unknown, self: Command) => {
      await extract(files, self.optsWithGlobals<ExtractOptions>());
    });
}

interface ClassPlan {
  readonly name: string;
  readonly classConfig: MachineClassConfig;
  readonly sources: readonly MachineSource[];
  readonly refused: Refused;
}

async function extract(paths: readonly string[], options: ExtractOptions): Promise<void> {
  const config = readConfiguration(options);
  const files = openFiles(paths, options);
  const plan = planClass(config, placeInTime(files, options), options.class);
  const extractor = new FeatureExtractor(plan.classConfig);
  const spelledOut = withWildcardSpelledOut(
    plan.classConfig,
    plan.sources.map((source) => source.plan),
  );
  const table = new FeatureTable(new FeatureExtractor(spelledOut).schema());
  const sink = openLineSink(options.out);
  let windows = 0;
  try {
    await sink.write(table.header());
    for (const source of plan.sources) {
      for (const vector of extractFeatures(plan.name, plan.classConfig, extractor, source)) {
        await sink.write(table.line(vector));
        windows += 1;
      }
    }
    await sink.close();
  } catch (error) {
    sink.abort();
    throw error;
  }
  report(plan, { windows, features: table.featureIds.length }, files, options);
}

function report(
  plan: ClassPlan,
  table: { readonly windows: number; readonly features: number },
  files: readonly OpenedFile[],
  options: ExtractOptions,
): void {
  const { name, sources, refused } = plan;
  const machines = sources.length;
  warn(plan, files);
  if (!options.json || options.out === undefined) {
    note(`${machines} machines, ${table.windows} windows, ${table.features} features (class ${name})`);
    return;
  }
  printJson({
    machines,
    ...table,
    class: name,
    refusedSamples: refused.samples,
    unknownChannels: Object.fromEntries(refused.unknown),
    channelsWithoutData: emptyChannels(plan),
    unreadableCells: unreadableIn(files),
    out: options.out,
  });
}

/** What did not get into the table, on standard error in any case: the table itself can't say it. */
function warn(plan: ClassPlan, files: readonly OpenedFile[]): void {
  const { name, refused } = plan;
  for (const { path, unreadable } of files) unreadable.warnings(path).forEach(note);
  const unknown = [...refused.unknown].map(([channel, samples]) => `${channel} (${samples} samples)`);
  if (unknown.length > 0) note(`warning: left out, class ${name} does not declare: ${unknown.join(', ')}`);
  const empty = emptyChannels(plan);
  if (empty.length > 0) note(`warning: no recording has ${empty.join(', ')}: their columns are empty`);
  if (refused.samples > 0)
    note(`warning: no window took ${refused.samples} samples (late, or over window.maxSamplesPerWindow)`);
}

function emptyChannels({ classConfig, sources }: ClassPlan): string[] {
  return channelsWithoutData(
    classConfig,
    sources.map(({ plan }) => plan),
  );
}

function placeInTime(files: readonly OpenedFile[], options: ExtractOptions): PlacedRecording[] {
  const timeline = arrange(files, options.parallel ?? false);
  if (options.start !== undefined) return shift(timeline.placed, parseStart(options.start));
  return asRecorded(timeline.placed, UNDATED_START_MS);
}

/** One table has one set of columns, so all machines must be of one class. */
function planClass(config: Config, placed: readonly PlacedRecording[], named: string | undefined): ClassPlan {
  const byMachine = new Map<string, PlacedRecording[]>();
  for (const entry of placed) {
    const { machine } = entry.recording;
    byMachine.set(machine, [...(byMachine.get(machine) ?? []), entry]);
  }
  const refused: Refused = { samples: 0, unknown: new Map() };
  const first = chooseClass(config, placed[0]!.recording.machine, named);
  const sources = [...byMachine].map(([machine, recordings]): MachineSource => {
    const own = chooseClass(config, machine, named);
    if (own.name !== first.name) {
      throw new GatewayError(
        'MW_USAGE',
        `the files hold machines of two classes, ${first.name} and ${own.name}`,
        {
          hint: 'one table has the columns of one class: extract them one by one, or name the class with --class',
        },
      );
    }
    return { machine, recordings, plan: mergedPlan(own.name, own.classConfig, recordings), refused };
  });
  return { name: first.name, classConfig: first.classConfig, sources, refused };
}

function mergedPlan(
  className: string,
  classConfig: MachineClassConfig,
  recordings: readonly PlacedRecording[],
): ChannelPlan {
  return new Map(recordings.flatMap(({ recording }) => [...planChannels(className, classConfig, recording)]));
}
