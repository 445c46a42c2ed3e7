/**
 * Signs of progress of each part enter, which of them are stuck leaves: what the watchdog and /healthz go by.
 *
 * Progress is work done or found not to be there; waiting for something that has its own deadline (a backoff, an
 * answer, a full disk that is tried again) is progress as well, because a restart would only wait anew. A part is stuck
 * when it neither works nor waits: a thread inside a system call that does not return, a promise that never settles,
 * a queue that is full and not drained. Then a restart is the remedy, and systemd gives it once we stop pinging.
 */

/** A part of the path and how long it has shown no progress. */
export interface StageSilence {
  readonly stage: string;
  readonly silentMs: number;
}

/** An fsync on a worn card takes seconds; what takes longer than this does not come back by itself. */
export const MAX_SILENCE_MS = 10_000;
/** Beyond the moment at which a forwarder's sleep or request should have ended: timers of a busy thread come late. */
export const MAX_FORWARDER_OVERDUE_MS = 30_000;

const FORWARDER = 'forwarder ';

/** Name of the stage that sends to `sink`. */
export function forwarderStage(sink: string): string {
  return FORWARDER + sink;
}

/** Names of the stages that are stuck, given how long ago their silences were read. */
export function stuckStages(stages: readonly StageSilence[], ageMs: number): string[] {
  return stages
    .filter(({ stage, silentMs }) => {
      const allowedMs = stage.startsWith(FORWARDER) ? MAX_FORWARDER_OVERDUE_MS : MAX_SILENCE_MS;
      return silentMs + ageMs > allowedMs;
    })
    .map(({ stage }) => stage);
}
