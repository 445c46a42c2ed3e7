/**
 * The one error type of the gateway and the closed table of its codes.
 *
 * Exceptions mean configuration, resource or bug. Data-dependent outcomes on the hot path (a payload that does
 * not parse, a line the database refuses) are values and never come through here.
 */

interface ErrorEntry {
  /** What the operator should do next; printed after the message as `Try: …`. */
  readonly hint: string;
  readonly retryable: boolean;
  /** Process exit code when this error ends a command (sysexits.h: 64 usage, 78 config). */
  readonly exitCode: 1 | 64 | 78;
}

/** Every code the gateway can raise. Adding one here is what makes it exist. */
export const ERROR_TABLE = {
  MW_USAGE: { hint: 'run the command with --help', retryable: false, exitCode: 64 },
  MW_CONFIG_READ: {
    hint: 'check the path given with --config and its file permissions',
    retryable: false,
    exitCode: 78,
  },
  MW_CONFIG_INVALID: {
    hint: 'correct the named key; `millwright check` shows the effective configuration',
    retryable: false,
    exitCode: 78,
  },
  MW_INGEST_LISTEN: {
    hint: 'choose another ingest.embedded.port or stop the process that holds it',
    retryable: false,
    exitCode: 1,
  },
  MW_INGEST_EXTERNAL: {
    hint: 'check ingest.external.url, credentials and that the broker is up',
    retryable: true,
    exitCode: 1,
  },
  MW_HTTP_LISTEN: {
    hint: 'choose another http.port or stop the process that holds it',
    retryable: false,
    exitCode: 1,
  },
  MW_STORE_OPEN: {
    hint: 'check that the data directory exists and is writable',
    retryable: false,
    exitCode: 1,
  },
  MW_STORE_IN_USE: {
    hint: 'stop the other gateway, or give this one a data directory of its own',
    retryable: true,
    exitCode: 1,
  },
  MW_STORE_SCHEMA_NEWER: {
    hint: 'the data directory was written by a newer gateway: upgrade, or point --data-dir elsewhere',
    retryable: false,
    exitCode: 1,
  },
  MW_STORE_WRITE: {
    hint: 'check free space and health of the disk; nothing is acknowledged until a write succeeds',
    retryable: true,
    exitCode: 1,
  },
  MW_STORE_FSYNC: {
    hint: 'the disk reported a failed flush: check it (dmesg, SMART) before trusting it again',
    retryable: false,
    exitCode: 1,
  },
  MW_MODEL_INVALID: {
    hint: 'the model folder is incomplete or does not match its manifest: install it again',
    retryable: false,
    exitCode: 1,
  },
  MW_MODEL_CONTRACT: {
    hint: 'the model was trained on other features than this gateway computes: retrain it or fix the machine class',
    retryable: false,
    exitCode: 1,
  },
  MW_MODEL_GOLDEN: {
    hint: 'the model gives other numbers on this device than when it was exported: do not use it',
    retryable: false,
    exitCode: 1,
  },
  MW_INFERENCE_DOWN: {
    hint: 'the inference process keeps failing; windows flow on without scores, see the log for the model at fault',
    retryable: true,
    exitCode: 1,
  },
  MW_RECORDING: { hint: 'check the recording file and its --format', retryable: false, exitCode: 1 },
  MW_EVALUATE_SOURCE: {
    hint: 'check the address, organisation, bucket and token the answers are read with',
    retryable: true,
    exitCode: 1,
  },
  MW_WORKER_DIED: {
    hint: 'the pipeline thread ended unexpectedly; restart the gateway and report the log',
    retryable: false,
    exitCode: 1,
  },
  MW_INTERNAL: { hint: 'this is a defect: please report it with the log', retryable: false, exitCode: 1 },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_TABLE;

export interface ErrorOptions {
  readonly cause?: unknown;
  /** Flat ids and numbers for the log line. */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
  /** Replaces the table's hint where the caller knows better. */
  readonly hint?: string;
}

/** Any failure the gateway raises on purpose. `message` says what happened, `hint` what to do next. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable: boolean;
  readonly exitCode: number;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    const entry: ErrorEntry = ERROR_TABLE[code];
    this.hint = options.hint ?? entry.hint;
    this.retryable = entry.retryable;
    this.exitCode = entry.exitCode;
    this.details = options.details ?? {};
  }
}

/** Text of an unknown thrown value, for a message or a log line; never throws. */
export function describeError(error: unknown): string {
  if (error instanceof Error) return error.message;
  return String(error);
}
