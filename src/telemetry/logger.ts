/** The log: one JSON line per event on standard error, for journald. The only file that imports pino. */

import { pino } from 'pino';

/** What a part may say. `details` are flat ids and numbers; the message is a fixed sentence. */
export interface Logger {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
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
