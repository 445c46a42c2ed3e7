/** What a command says: results on standard output, everything about them on standard error. */

import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { describeError, GatewayError } from '../../errors.ts';

export function printLine(text = ''): void {
  process.stdout.write(`${text}\n`);
}

/** Two-space indented JSON, one document. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Columns padded to their widest cell; numbers to the right. No header line if `header` is empty. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = header.length === 0 ? rows : [header, ...rows];
  const widths = (all[0] ?? []).map((_, c) => Math.max(...all.map((row) => (row[c] ?? '').length)));
  const isNumber = (cell: string) => /^-?[\d.,]+( ?%)?$/.test(cell);
  return all
    .map((row) =>
      row
        .map((cell, c) => (isNumber(cell) ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Where a table goes: a file that appears only when it is complete, or standard output. */
export interface LineSink {
  write(line: string): Promise<void>;
  /** Completes the file. */
  close(): Promise<void>;
  /** Leaves nothing behind. */
  abort(): void;
}

const BUFFER_CHARS = 65_536;

/** @throws GatewayError MW_USAGE when the file cannot be created */
export function openLineSink(path: string | undefined): LineSink {
  return path === undefined || path === '-' ? stdoutSink() : fileSink(path);
}

function fileSink(path: string): LineSink {
  const partial = `${path}.partial`;
  let fd: number;
  try {
    fd = openSync(partial, 'w');
  } catch (error) {
    throw new GatewayError('MW_USAGE', `cannot write ${path}: ${describeError(error)}`, {
      cause: error,
      hint: 'check the folder given with --out and its permissions',
    });
  }
  let pending = '';
  const flush = () => {
    const bytes = Buffer.from(pending);
    pending = '';
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  };
  return {
    async write(line) {
      pending += `${line}\n`;
      if (pending.length >= BUFFER_CHARS) flush();
    },
    async close() {
      flush();
      closeSync(fd);
      renameSync(partial, path);
    },
    abort() {
      closeSync(fd);
      rmSync(partial, { force: true });
    },
  };
}

function stdoutSink(): LineSink {
  let pending = '';
  const flush = async () => {
    const text = pending;
    pending = '';
    if (process.stdout.write(text)) return;
    await new Promise<void>((resolve) => process.stdout.once('drain', () => resolve()));
  };
  return {
    async write(line) {
      pending += `${line}\n`;
      if (pending.length >= BUFFER_CHARS) await flush();
    },
    close: flush,
    abort() {},
  };
}

/** Days as a person says them. */
export function formatLife(days: number): string {
  if (days > 36_500) return 'more than 100 years';
  return days < 730 ? `${Math.round(days)} days` : `${(days / 365).toFixed(1)} years`;
}

/** `1.5 MiB`, `312 B`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
