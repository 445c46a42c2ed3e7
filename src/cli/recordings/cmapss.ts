/**
 * NASA C-MAPSS text (26 columns) enters, one recording per engine leaves.
 *
 * Source: Saxena et al., "Damage Propagation Modeling for Aircraft Engine Run-to-Failure Simulation", PHM 2008.
 */

import type { Recording, RowMessage } from './recording.ts';
import { recordingError, type SourceFile } from './source-file.ts';

const COLUMNS = 26;
/** The source counts cycles, not time. One cycle is played as one minute. */
export const CYCLE_MS = 60_000;

/** Channels of a row, in column order: setting1..3, s1..s21. */
export const CMAPSS_CHANNELS: readonly string[] = [
  ...[1, 2, 3].map((n) => `setting${n}`),
  ...Array.from({ length: 21 }, (_, i) => `s${i + 1}`),
];

/** True for `train_FD001.txt` and its like. */
export function isCmapssName(name: string): boolean {
  return /^(train|test)_FD\d+\.txt$/i.test(name);
}

/** Machine id of a unit: `FD001-test-001`; units of a file with another name are called after the file. */
export function cmapssMachine(fileName: string, unit: number): string {
  const match = /^(train|test)_(FD\d+)/i.exec(fileName);
  const prefix = match
    ? `${match[2]!.toUpperCase()}-${match[1]!.toLowerCase()}`
    : fileName.replace(/\..*$/, '');
  return `${prefix}-${String(unit).padStart(3, '0')}`;
}

/**
 * Engines in the order of the file. Cycle k of an engine has offset (k - 1) minutes.
 * @throws GatewayError MW_RECORDING on a row without 26 finite numbers or cycles that do not ascend
 */
export function readCmapss(file: SourceFile): Recording[] {
  const engines = new Map<number, { cycles: number[]; rows: number[][] }>();
  file.bytes
    .toString('latin1')
    .split('\n')
    .forEach((text, i) => {
      const cells = text.trim();
      if (cells === '') return;
      const row = cells.split(/\s+/).map(Number);
      if (row.length !== COLUMNS || !row.every(Number.isFinite)) {
        throw recordingError(file.path, i + 1, `expected ${COLUMNS} numbers`);
      }
      const [unit, cycle] = row as [number, number];
      const engine = engines.get(unit) ?? { cycles: [], rows: [] };
      engines.set(unit, engine);
      if (cycle <= (engine.cycles.at(-1) ?? 0)) {
        throw recordingError(
          file.path,
          i + 1,
          `cycle ${cycle} of unit ${unit} does not follow the one before`,
        );
      }
      engine.cycles.push(cycle);
      engine.rows.push(row.slice(2));
    });
  return [...engines].map(([unit, engine]) => engineRecording(cmapssMachine(file.name, unit), engine));
}

function engineRecording(machine: string, engine: { cycles: number[]; rows: number[][] }): Recording {
  return {
    machine,
    channels: CMAPSS_CHANNELS,
    originMs: null,
    lastOffsetMs: (engine.cycles.at(-1)! - 1) * CYCLE_MS,
    spacingMs: CYCLE_MS,
    messageCount: engine.rows.length,
    *messages(): Generator<RowMessage> {
      for (let i = 0; i < engine.rows.length; i += 1) {
        const values: Record<string, number> = {};
        CMAPSS_CHANNELS.forEach((channel, c) => {
          values[channel] = engine.rows[i]![c]!;
        });
        yield { kind: 'row', offsetMs: (engine.cycles[i]! - 1) * CYCLE_MS, values };
      }
    },
  };
}
