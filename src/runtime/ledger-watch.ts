/**
 * The store's accounts and the pipeline's own count in, every difference out: as a metric, as a reason of health, and in
 * the log once per change. Equality is looked at right after the start and every minute.
 */

import type { Logger } from '../telemetry/logger.ts';
import type { MetricSample, MetricSource } from '../telemetry/metrics.ts';

const EVERY_MS = 60_000;

export interface WatchedAccounts {
  /** Samples in open windows and on their way from there, counted; null while that can't be told. */
  unsettledSamples(): number | null;
  check(openSamples: number): {
    readonly difference: { readonly samples: number; readonly points: Readonly<Record<string, number>> };
  };
  /** Points per sink that the account and the outbox disagreed about at open, and that were booked. */
  readonly bookedAtStart: Readonly<Record<string, number>>;
  /** True while rows of a damaged file are still coming back: points are missing for now. */
  readonly isSalvaging: boolean;
}

/** One per pipeline thread; `look` is cheap and may be called as often as there is time. */
export class LedgerWatch implements MetricSource {
  readonly #accounts: () => WatchedAccounts;
  readonly #logger: Logger;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #checks = 0;
  /** Differences that are not 0, by `samples` or name of the sink. */
  #differences: Readonly<Record<string, number>> = {};

  constructor(accounts: () => WatchedAccounts, logger: Logger) {
    this.#accounts = accounts;
    this.#logger = logger;
  }

  /** Compares when it is time. Call while nothing is half committed. */
  look(monotonicMs: number): void {
    if (monotonicMs - this.#lookedMs < EVERY_MS) return;
    const accounts = this.#accounts();
    const unsettled = accounts.unsettledSamples();
    // In a moment, then: records wait for the store.
    if (unsettled === null) return;
    this.#lookedMs = monotonicMs;
    this.#checks += 1;
    const { samples, points } = accounts.check(unsettled).difference;
    const found = { samples, ...(accounts.isSalvaging ? {} : prefixed(points)) };
    const differences = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== 0));
    if (JSON.stringify(differences) !== JSON.stringify(this.#differences)) {
      const level = Object.keys(differences).length === 0 ? 'info' : 'error';
      this.#logger[level]({ differences }, 'the ledger and what is there differ by');
    }
    this.#differences = differences;
  }

  /** One line per account that does not balance. */
  reasons(): string[] {
    return Object.entries(this.#differences).map(
      ([account, by]) => `ledger: ${account} ${by > 0 ? 'miss' : 'exceed the account by'} ${Math.abs(by)}`,
    );
  }

  metrics(): MetricSample[] {
    const { bookedAtStart } = this.#accounts();
    const name = 'millwright_ledger_difference';
    const accounts = ['samples', ...Object.keys(this.#differences).filter((key) => key !== 'samples')];
    return [
      { name: 'millwright_ledger_checks_total', value: this.#checks },
      ...accounts.map((account) => ({
        name: name as 'millwright_ledger_difference',
        labels: { account },
        value: this.#differences[account] ?? 0,
      })),
      ...Object.entries(bookedAtStart).map(([sink, value]) => ({
        name: 'millwright_ledger_booked_at_start' as const,
        labels: { sink },
        value,
      })),
    ];
  }
}

function prefixed(points: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(points).map(([sink, value]) => [`points of ${sink}`, value]));
}
