/** A message on a topic its sender may not publish to: counted and told to the log, the same wherever it is found. */

import type { Complaints } from './complaints.ts';
import type { IngestCounters } from './ingest-counters.ts';

export interface DenialReport {
  readonly counters: IngestCounters;
  readonly complaints: Complaints;
}

/** @param username '' for an anonymous client */
export function reportDenied({ counters, complaints }: DenialReport, topic: string, username: string): void {
  counters.denied += 1;
  const message = 'message on a topic its sender may not publish to';
  complaints.warn('denied', performance.now(), message, () => ({ topic, username }));
}
