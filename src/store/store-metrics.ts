/** The store's counters in, metric samples out. */

import { POINT_CLASSES } from '../domain/point.ts';
import type { MetricSample } from '../telemetry/metrics.ts';
import { expectedOpen, type SinkState } from './ledger-book.ts';
import type { Salvager } from './salvager.ts';
import type { StoreWriter } from './store-writer.ts';

const POINT_TERMS = ['produced', 'delivered', 'deadLettered', 'degraded', 'evicted', 'quarantined'] as const;
const TERM_LABELS = {
  produced: 'produced',
  delivered: 'delivered',
  deadLettered: 'dead_lettered',
  degraded: 'degraded',
  evicted: 'evicted',
  quarantined: 'quarantined',
} as const;

/** Everything the store counts. */
export function storeMetrics(writer: StoreWriter, salvager: Salvager | null): MetricSample[] {
  const { transactions, budget, state, deadLetters } = writer;
  const { volatileAccepted, ...terms } = state.samples;
  const sampleTerms = Object.entries({ ...terms, volatile: volatileAccepted }).map(
    ([term, value]): MetricSample => ({ name: 'millwright_samples_total', labels: { term }, value }),
  );
  return [
    { name: 'millwright_store_commits_total', value: transactions.commits },
    { name: 'millwright_store_failed_commits_total', value: transactions.failures },
    { name: 'millwright_store_checkpoints_total', value: transactions.checkpoints },
    { name: 'millwright_store_bytes', labels: { part: 'file' }, value: budget.fileBytes },
    { name: 'millwright_store_bytes', labels: { part: 'reusable' }, value: budget.reusableBytes },
    { name: 'millwright_store_bytes', labels: { part: 'journal' }, value: writer.journalBytes },
    { name: 'millwright_store_bytes', labels: { part: 'dead_letters' }, value: deadLetters.bytes },
    { name: 'millwright_store_max_bytes', value: budget.maxBytes },
    { name: 'millwright_store_writable', value: transactions.status === 'ok' ? 1 : 0 },
    { name: 'millwright_store_salvaging', value: salvager === null ? 0 : 1 },
    ...sampleTerms,
    { name: 'millwright_samples_open', value: expectedOpen(state.samples) },
    ...state.sinks.flatMap(sinkMetrics),
    { name: 'millwright_dead_letters_total', value: state.deadLetteredMessages },
    { name: 'millwright_dead_letters_dropped_total', value: state.deadLettersDropped },
    { name: 'millwright_dead_letters', value: deadLetters.count },
    ...(writer.history?.metrics() ?? []),
  ];
}

function sinkMetrics(sink: SinkState): MetricSample[] {
  const terms = POINT_TERMS.map(
    (term): MetricSample => ({
      name: 'millwright_points_total',
      labels: { sink: sink.name, term: TERM_LABELS[term] },
      value: sink[term],
    }),
  );
  const overflow = POINT_CLASSES.flatMap((pointClass) =>
    (['degraded', 'evicted'] as const).map(
      (action): MetricSample => ({
        name: 'millwright_points_overflow_total',
        labels: { sink: sink.name, class: pointClass, action },
        value: sink.overflow[pointClass][action],
      }),
    ),
  );
  return [
    ...terms,
    ...overflow,
    { name: 'millwright_outbox_points', labels: { sink: sink.name }, value: sink.pendingPoints },
    { name: 'millwright_outbox_bytes', labels: { sink: sink.name }, value: sink.pendingBytes },
  ];
}
