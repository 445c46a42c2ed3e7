/** The contract between the forwarder and the servers: lines of one request -> what became of them. */

/** What one request did. Everything a network or a server can do is one of these; writers never throw. */
export type WriteOutcome =
  /** 204: every line is stored. Nothing else counts as stored. */
  | { readonly kind: 'accepted' }
  | Rejection
  /** 413: the same lines in smaller requests may pass. */
  | { readonly kind: 'tooLarge'; readonly message: string }
  | RetryLater
  | Held;

/** 400 or 422: sending the same lines again gives the same answer; at least one of them is at fault. */
export interface Rejection {
  readonly kind: 'rejected';
  /** The server's own words, one line. */
  readonly message: string;
  /** How many lines the server says it dropped; null where it does not say. */
  readonly droppedLines: number | null;
  /** False where the answer may be about the request as a whole (a proxy, a setting) and not about a line. */
  readonly aboutLines: boolean;
}

/** No answer, or one that may be another the next time: network, timeout, 408, 429, 5xx, a 2xx that is not 204. */
export interface RetryLater {
  readonly kind: 'retryLater';
  readonly message: string;
  /** What the server asked for (Retry-After), ms from now; null where it did not. */
  readonly afterMs: number | null;
  /** `timeout` hints at requests that are too large for the line. */
  readonly cause: 'network' | 'timeout' | 'answer' | 'stopped';
}

/** The server needs a person: credentials, permissions, a bucket that does not exist. Nothing is given up. */
export interface Held {
  readonly kind: 'held';
  readonly message: string;
  /** What the person should do. */
  readonly hint: string;
}

/** One kind of server at one address. */
export interface PointWriter {
  /** One request, at most `timeoutMs` long; `signal` gives it up earlier (`stopped`). */
  write(lines: readonly string[], signal: AbortSignal): Promise<WriteOutcome>;
  /** True if anything answers at the address, well enough to try a write again. Takes at most 2 s. */
  ping(signal: AbortSignal): Promise<boolean>;
  /** Closes idle connections. */
  close(): void;
}
