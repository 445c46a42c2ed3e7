import { describe, expect, it } from 'vitest';
import { LedgerWatch } from '../../../src/runtime/ledger-watch.ts';
import { SILENT } from '../../../src/telemetry/logger.ts';

function watchOf(account: {
  samples: number;
  points: number;
  unsettled: number | null;
  isSalvaging: boolean;
}) {
  return new LedgerWatch(
    () => ({
      unsettledSamples: () => account.unsettled,
      check: (open) => ({
        difference: { samples: account.samples - open, points: { influx: account.points } },
      }),
      bookedAtStart: {},
      isSalvaging: account.isSalvaging,
    }),
    SILENT,
  );
}

const differences = (watch: LedgerWatch) =>
  Object.fromEntries(
    watch
      .metrics()
      .filter(({ name }) => name === 'millwright_ledger_difference')
      .map(({ labels, value }) => [labels!['account'], value]),
  );

describe('the accounts are compared', () => {
  it('at once and then every minute; a difference is a reason of health until it is gone', () => {
    const account = { samples: 7, points: 0, unsettled: 7, isSalvaging: false };
    const watch = watchOf(account);
    watch.look(1_000);
    expect([watch.reasons(), differences(watch)]).toEqual([[], { samples: 0 }]);
    account.samples = 12;
    account.points = -2;
    watch.look(60_999);
    expect(watch.reasons()).toEqual([]);
    watch.look(61_000);
    expect(watch.reasons()).toEqual([
      'ledger: samples miss 5',
      'ledger: points of influx exceed the account by 2',
    ]);
    expect(differences(watch)).toEqual({ samples: 5, 'points of influx': -2 });
    Object.assign(account, { samples: 7, points: 0 });
    watch.look(121_000);
    expect([watch.reasons(), differences(watch)]).toEqual([[], { samples: 0 }]);
  });

  it('later where records wait for the store', () => {
    const account = { samples: 9, points: 0, unsettled: null as number | null, isSalvaging: false };
    const watch = watchOf(account);
    watch.look(1_000);
    expect(watch.reasons()).toEqual([]);
    account.unsettled = 8;
    watch.look(1_050);
    expect(watch.reasons()).toEqual(['ledger: samples miss 1']);
  });

  it('without the points while rows of a damaged file are still coming back', () => {
    const watch = watchOf({ samples: 0, points: 400, unsettled: 0, isSalvaging: true });
    watch.look(1_000);
    expect(watch.reasons()).toEqual([]);
  });
});
