/** The log: one JSON line per event on standard error, for journald. The only file that imports pino. */

import { pino } from 'pino';

/** Flat ids and numbers. The keys that every line has are taken: a line with a key twice is read in two ways. */
export interface LogDetails {
  readonly [key: string]: unknown;
  readonly level?: never;
  readonly time?: never;
  readonly msg?: never;
}

/** What a part may say; the message is a fixed sentence. */
export interface Logger {
  debug(details: LogDetails, message: string): void;
  info(details: LogDetails, message: string): void;
  warn(details: LogDetails, message: string): void;
  error(details: LogDetails, message: string): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Writes to standard error, synchronously: the last line before a crash is the one that matters. */
export function createLogger(level: LogLevel): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ['password', 'token', '*.password', '*.token'], censor: '***' },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** For tests and commands that report in their own words. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };
