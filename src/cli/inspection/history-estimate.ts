/** A configuration enters; how many bytes its history takes, on the first day as on the last, leaves. */

import type { Config } from '../../config/schema.ts';
import type { HistoryArchive } from '../../domain/history.ts';
import { FeatureExtractor } from '../../features/extractor.ts';
import { HistorySampler } from '../../features/history-samples.ts';
import {
  blockSpanMs,
  blocksPerSeries,
  bytesOf,
  levelsFor,
  readableRows,
  treeBytes,
} from '../../store/history/geometry.ts';

const MS_PER_DAY = 86_400_000;

export interface ClassHistory {
  readonly machineClass: string;
  readonly machines: number;
  readonly seriesPerMachine: number;
  readonly archives: readonly HistoryArchive[];
  readonly bytesPerSeries: number;
  readonly bytes: number;
  /** Blocks filled a day, each a page of the database. */
  readonly writtenBytesPerDay: number;
}

export interface HistoryEstimate {
  readonly classes: readonly ClassHistory[];
  readonly series: number;
  readonly maxSeries: number;
  /** Blocks of all series. */
  readonly archiveBytes: number;
  /** Pages of the tree above the blocks, at most. */
  readonly treeBytes: number;
  readonly writtenBytesPerDay: number;
}

/** @param machines how many of each class; default is the ids that are spelled out, or 1. `*` counts no channel */
export function estimateHistory(config: Config, machines: Readonly<Record<string, number>>): HistoryEstimate {
  const sampler = new HistorySampler(config.history, config.machineClasses);
  const classes = Object.keys(config.machineClasses).map((name) =>
    estimateClass(config, sampler, name, machines[name]),
  );
  const archiveBytes = classes.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    classes,
    series: classes.reduce((sum, each) => sum + each.machines * each.seriesPerMachine, 0),
    maxSeries: config.history.maxSeries,
    archiveBytes,
    treeBytes: archiveBytes === 0 ? 0 : treeBytes(archiveBytes / 1024),
    writtenBytesPerDay: classes.reduce((sum, each) => sum + each.writtenBytesPerDay, 0),
  };
}

function estimateClass(
  config: Config,
  sampler: HistorySampler,
  machineClass: string,
  given: number | undefined,
): ClassHistory {
  const classConfig = config.machineClasses[machineClass]!;
  const { sizeMs, hopMs } = classConfig.window;
  const levels = levelsFor(config.history.archives, hopMs ?? sizeMs);
  const declared = Object.keys(classConfig.channels).filter((channel) => channel !== '*');
  const seriesPerMachine = config.history.enabled
    ? sampler.seriesOf(machineClass, new FeatureExtractor(classConfig).schema(), declared).length
    : 0;
  const machines = given ?? Math.max(1, classConfig.machines.filter((id) => !/[*?]/.test(id)).length);
  const bytesPerSeries = levels.reduce((sum, level) => sum + bytesOf(level), 0);
  const blocksPerDay = levels.reduce((sum, level) => sum + MS_PER_DAY / blockSpanMs(level), 0);
  const perBlock = bytesPerSeries / blocksPerSeries(levels);
  const series = machines * seriesPerMachine;
  return {
    ...{ machineClass, machines, seriesPerMachine, bytesPerSeries },
    archives: levels.map((level) => ({
      stepMs: level.stepMs,
      rows: readableRows(level),
      bytes: bytesOf(level),
    })),
    bytes: series * bytesPerSeries,
    writtenBytesPerDay: series * blocksPerDay * perBlock,
  };
}
