/** `millwright evaluate`: what the gateway answered and the known truth enter, scores leave. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { GatewayError } from '../errors.ts';
import { readConfiguration } from './configuration.ts';
import {
  type AnomalyReport,
  evaluateAnomalies,
  type FlagRule,
  type LabelledRun,
} from './evaluation/anomaly-evaluation.ts';
import type { AnomalyScores } from './evaluation/anomaly-scores.ts';
import type { Answer } from './evaluation/answers.ts';
import { type InfluxSource, readInfluxAnswers } from './evaluation/influx-answers.ts';
import { evaluateRul, RUL_CAP, type RulReport, readRulTruth } from './evaluation/rul-evaluation.ts';
import type { RulScores } from './evaluation/rul-scores.ts';
import { readTableAnswers } from './evaluation/table-answers.ts';
import type { GlobalOptions } from './global-options.ts';
import { parseStart, wholeNumber } from './recording-options.ts';
import { readSkabLabels, skabMachine } from './recordings/skab.ts';
import { readSourceFile, recordingError } from './recordings/source-file.ts';
import { formatTable, note, printJson, printLine } from './terminal/output.ts';

interface EvaluateOptions extends GlobalOptions {
  readonly task: 'rul' | 'anomaly';
  readonly answers?: string;
  readonly influx?: string;
  readonly org?: string;
  readonly bucket?: string;
  readonly machinePrefix?: string;
  readonly flag: FlagRule;
  readonly trainRows: number;
  readonly windowMs?: number;
  readonly start?: string;
}

export function configure(command: Command): void {
  command
    .argument('<truth...>', 'rul: RUL_FD00x.txt; anomaly: labelled SKAB files')
    .addOption(new Option('--task <task>', 'what to score').choices(['rul', 'anomaly']).makeOptionMandatory())
    .option(
      '--answers <file>',
      'read answers from a csv: machine,time_ms and rul,rul_low,rul_high,anomaly_p_value,state',
    )
    .option(
      '--influx <url>',
      'read answers from InfluxDB 2 (default: the influxdb2 sink of the configuration)',
    )
    .option('--org <name>', 'InfluxDB organisation')
    .option('--bucket <name>', 'InfluxDB bucket; the token comes from $INFLUX_TOKEN or the sink')
    .option('--machine-prefix <text>', 'rul: machine ids without their number (default: FD00x-test-)')
    .addOption(
      new Option('--flag <rule>', 'anomaly: "warning" (warning or alarm), "alarm", or "p=0.001"')
        .argParser(parseFlag)
        .default(parseFlag('warning'), 'warning'),
    )
    .option('--train-rows <n>', 'anomaly: first rows of each file that are not scored', wholeNumber(0), 400)
    .option(
      '--window-ms <n>',
      'anomaly: length of the windows (default: told from the answers)',
      wholeNumber(1),
    )
    .option(
      '--start <time>',
      'anomaly: event time of the first row, as given to replay (default: as recorded)',
    )
    .addHelpText(
      'after',
      `
rul scores the last answer of each machine: RMSE, MAE, NASA score, bias, coverage (PICP) and mean width (MPIW) of the
stated interval, against truth capped at ${RUL_CAP} and raw. anomaly counts rows, without point adjustment: F1, false
alarm rate, missed alarm rate, and beside them what flagging every row would score.

Examples:
  millwright evaluate --task rul --config gateway.yaml RUL_FD001.txt
  millwright evaluate --task anomaly --answers answers.csv --json valve1/*.csv.gz`,
    )
    .action(async (truth: string[], _local: unknown, self: Command) => {
      await evaluate(truth, self.optsWithGlobals<EvaluateOptions>());
    });
}

function parseFlag(text: string): FlagRule {
  if (text === 'warning') return { kind: 'state', states: ['warning', 'alarm'] };
  if (text === 'alarm') return { kind: 'state', states: ['alarm'] };
  const below = /^p=(.+)$/.exec(text)?.[1];
  if (below === undefined || !(Number(below) > 0 && Number(below) <= 1)) {
    throw new InvalidArgumentError('"warning", "alarm" or "p=" and a number between 0 and 1');
  }
  return { kind: 'p', below: Number(below) };
}

async function evaluate(paths: readonly string[], options: EvaluateOptions): Promise<void> {
  if (options.task === 'rul') {
    if (paths.length !== 1) throw new GatewayError('MW_USAGE', '--task rul takes one file of truth');
    const truth = readRulTruth(paths[0]!, options.machinePrefix);
    printRul(evaluateRul(await readAnswers(options), truth), options);
    return;
  }
  const runs = paths.map((path) => labelledRun(path, options.start));
  const answers = await readAnswers(options);
  const windowMs = options.windowMs ?? windowLength(answers);
  printAnomalies(
    evaluateAnomalies(answers, runs, options.flag, options.trainRows, windowMs),
    windowMs,
    options,
  );
}

async function readAnswers(options: EvaluateOptions): Promise<Answer[]> {
  const answers =
    options.answers === undefined
      ? await readInfluxAnswers(influxSource(options))
      : readTableAnswers(options.answers);
  if (answers.length === 0) {
    throw new GatewayError('MW_RECORDING', 'there are no answers to score', {
      hint: 'replay the recording first, and let the gateway deliver (millwright outbox stats)',
    });
  }
  return answers;
}

/** Flags first, then the first influxdb2 sink of the configuration. */
function influxSource(options: EvaluateOptions): InfluxSource {
  const token = process.env['INFLUX_TOKEN'];
  if (options.influx !== undefined) {
    return {
      url: options.influx,
      org: options.org ?? 'plant',
      bucket: options.bucket ?? 'gw',
      token: token ?? '',
    };
  }
  const sink = Object.values(readConfiguration(options).sinks).find((entry) => entry.type === 'influxdb2');
  if (sink === undefined) {
    throw new GatewayError('MW_USAGE', 'the configuration has no influxdb2 sink to read answers from', {
      hint: 'name a server with --influx, or a table with --answers',
    });
  }
  return {
    url: sink.url,
    org: options.org ?? sink.org,
    bucket: options.bucket ?? sink.bucket,
    token: token ?? sink.token,
  };
}

function labelledRun(path: string, start: string | undefined): LabelledRun {
  const labels = readSkabLabels(readSourceFile(path));
  if (labels.length === 0) throw recordingError(path, null, 'has no labels');
  const shiftMs = start === undefined ? 0 : parseStart(start) - labels[0]!.timeMs;
  return { machine: skabMachine(path), labels, shiftMs };
}

/** Smallest distance of two answers of one machine: the hop, which is the length of tumbling windows. */
function windowLength(answers: readonly Answer[]): number {
  const last = new Map<string, number>();
  let least = Number.POSITIVE_INFINITY;
  for (const { machine, timeMs } of answers) {
    const before = last.get(machine);
    if (before !== undefined && timeMs > before) least = Math.min(least, timeMs - before);
    last.set(machine, timeMs);
  }
  if (least === Number.POSITIVE_INFINITY) {
    throw new GatewayError('MW_USAGE', 'the answers do not tell how long a window is', {
      hint: 'give --window-ms',
    });
  }
  return least;
}

function printRul(report: RulReport, options: EvaluateOptions): void {
  if (options.json) {
    printJson(report);
    return;
  }
  const rows = (['machines', 'rmse', 'mae', 'nasaScore', 'bias', 'picp', 'mpiw'] as const).map((key) => [
    key,
    shown(report.capped[key]),
    shown(report.raw[key]),
  ]);
  printLine(formatTable(['score', `truth capped at ${RUL_CAP}`, 'raw truth'], rows));
  const tell = (machines: readonly string[], what: string) => {
    if (machines.length === 0) return;
    note(
      `${machines.length} of ${report.truthMachines} machines ${what}: ${machines.slice(0, 5).join(', ')} ...`,
    );
  };
  tell(report.missing, 'have no answer');
  tell(report.unscored, 'have no score at their last window and are left out');
}

function printAnomalies(report: AnomalyReport, windowMs: number, options: EvaluateOptions): void {
  if (options.json) {
    printJson({ windowMs, trainRows: options.trainRows, flag: options.flag, ...report });
    return;
  }
  const line = (name: string, scores: AnomalyScores) => [
    name,
    String(scores.rows),
    String(scores.anomalousRows),
    shown(scores.f1),
    shown(scores.far),
    shown(scores.mar),
  ];
  const rows = report.runs.map(({ machine, scores }) => line(machine, scores));
  rows.push(line('all rows', report.pooled), line('every row flagged', report.allOnes));
  printLine(formatTable(['run', 'rows', 'anomalous', 'F1', 'FAR', 'MAR'], rows));
  if (report.missing.length > 0)
    note(`no answers for ${report.missing.join(', ')}: counted as never flagged`);
}

function shown(value: RulScores[keyof RulScores]): string {
  return Number.isNaN(value) ? '-' : Number.isInteger(value) ? String(value) : value.toFixed(3);
}
