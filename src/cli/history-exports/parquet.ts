/** Rows of the history enter, a Parquet file leaves: one row group per series and resolution. */

import { renameSync, rmSync } from 'node:fs';
import { type ColumnSource, fileWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import { describeError, GatewayError } from '../../errors.ts';
import { VERSION } from '../../version.ts';
import type { SeriesRows } from './selection.ts';

/** Writes `path`, which appears only when it is complete. @returns rows written. @throws GatewayError MW_USAGE */
export async function writeParquet(path: string, all: Iterable<SeriesRows>): Promise<number> {
  const partial = `${path}.partial`;
  let written = 0;
  try {
    const writer = new ParquetWriter({
      writer: fileWriter(partial),
      schema: schemaFromColumnData({ columnData: columns([]) }),
      createdBy: `millwright ${VERSION}`,
    });
    for (const each of all) {
      const { length } = each.rows.count;
      await writer.write({ columnData: columns([each]), rowGroupSize: length });
      written += length;
    }
    await writer.finish();
    renameSync(partial, path);
    return written;
  } catch (error) {
    rmSync(partial, { force: true });
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('MW_USAGE', `cannot write ${path}: ${describeError(error)}`, {
      cause: error,
      hint: 'check the folder given with --out and its permissions',
    });
  }
}

/** The columns; the same schema whatever is in them. A gap is null. */
function columns(all: readonly SeriesRows[]): ColumnSource[] {
  const [first] = all;
  const rows = first?.rows;
  const n = rows?.count.length ?? 0;
  const repeated = (text: string) => new Array<string>(n).fill(text);
  const known = (values: Float64Array | undefined) =>
    Array.from(values ?? [], (value) => (Number.isNaN(value) ? null : value));
  const times = Array.from({ length: n }, (_, i) => new Date(rows!.startMs + i * rows!.stepMs));
  return [
    { name: 'time', type: 'TIMESTAMP', nullable: false, data: times },
    { name: 'machine', type: 'STRING', nullable: false, data: repeated(first?.machine ?? '') },
    { name: 'series', type: 'STRING', nullable: false, data: repeated(first?.series ?? '') },
    {
      name: 'resolution_ms',
      type: 'INT32',
      nullable: false,
      data: new Int32Array(n).fill(rows?.stepMs ?? 0),
    },
    { name: 'average', type: 'DOUBLE', nullable: true, data: known(rows?.average) },
    { name: 'min', type: 'DOUBLE', nullable: true, data: known(rows?.min) },
    { name: 'max', type: 'DOUBLE', nullable: true, data: known(rows?.max) },
    { name: 'last', type: 'DOUBLE', nullable: true, data: known(rows?.last) },
    { name: 'count', type: 'INT32', nullable: false, data: Int32Array.from(rows?.count ?? []) },
  ];
}
