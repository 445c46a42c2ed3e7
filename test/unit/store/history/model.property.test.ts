/** Any sequence of windows, revisions, pauses, crashes and idle work against a model that keeps every window. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HistorySample } from '../../../../src/domain/history.ts';
import type { Store } from '../../../../src/store/store.ts';
import {
  everything,
  historyConfig,
  MIDNIGHT_MS,
  naiveRows,
  reading,
  rowsIn,
  SMALL_ARCHIVES,
  settle,
  windowResult,
} from '../../../support/history.ts';
import { type StoreFolder, storeFolder, unit } from '../../../support/store.ts';

const HOP_MS = 10_000;
const MACHINE = 'pump-1';
const SERIES = 'pressure';
/** Windows that may still be revised when a newer one comes. */
const REVISABLE = 3;

type Step =
  | { readonly kind: 'windows'; readonly values: readonly (HistorySample | null)[] }
  | { readonly kind: 'revise'; readonly back: number; readonly value: HistorySample | null }
  | { readonly kind: 'pause'; readonly hops: number }
  | { readonly kind: 'idle' | 'crash' };

const number = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const sample = fc
  .tuple(number, number, number)
  .map(([a, b, c]) => [a, b, c].sort((x, y) => x - y))
  .map(
    ([min, average, max]): HistorySample => ({
      series: SERIES,
      average: average!,
      min: min!,
      max: max!,
      last: max!,
    }),
  );
const value = fc.option(sample, { freq: 8 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('windows' as const),
        values: fc.array(value, { minLength: 1, maxLength: 150 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('revise' as const),
        back: fc.integer({ min: 0, max: REVISABLE - 1 }),
        value,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('pause' as const), hops: fc.integer({ min: 1, max: 3000 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('idle' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  ),
  { minLength: 1, maxLength: 25 },
);

/** A gateway's windows, with everything it was ever given kept aside. */
class Plant {
  readonly windows: { startMs: number; value: HistorySample | null }[] = [];
  readonly #folder: StoreFolder;
  #store: Store;
  #next = MIDNIGHT_MS;

  constructor(folder: StoreFolder) {
    this.#folder = folder;
    this.#store = this.#open();
  }

  #open(): Store {
    return this.#folder.open({}, { history: historyConfig({ archives: SMALL_ARCHIVES }) });
  }

  #commit(startMs: number, value: HistorySample | null): void {
    this.windows.push({ startMs, value });
    const finalMs = this.#next - REVISABLE * HOP_MS;
    // A channel that says nothing leaves another series in the window.
    const samples = [value ?? { series: 'other', average: 0, min: 0, max: 0, last: 0 }];
    const result = windowResult(startMs, samples, { machine: MACHINE, sizeMs: HOP_MS, finalMs });
    this.#store.commit(unit({ results: [result] }));
  }

  run(step: Step): void {
    if (step.kind === 'pause') this.#next += step.hops * HOP_MS;
    else if (step.kind === 'idle') settle(this.#store);
    else if (step.kind === 'crash') {
      // Nothing is saved on the way out: a commit is flushed before it returns.
      this.#store.close();
      this.#store = this.#open();
    } else if (step.kind === 'revise') {
      const known = this.windows.filter(({ startMs }) => startMs >= this.#next - REVISABLE * HOP_MS);
      const chosen = known[step.back];
      if (chosen !== undefined) this.#commit(chosen.startMs, step.value);
    } else if (step.kind === 'windows') {
      for (const each of step.values) {
        this.#next += HOP_MS;
        this.#commit(this.#next - HOP_MS, each);
      }
    }
  }

  close(): void {
    settle(this.#store);
    this.#store.close();
  }
}

function expectAsModel(plant: Plant, folder: StoreFolder): void {
  reading(
    folder.path,
    (view) => {
      if (view.list().every(({ series }) => series !== SERIES)) return;
      for (const { stepMs, rows } of SMALL_ARCHIVES) {
        const got = rowsIn(view, MACHINE, SERIES, stepMs);
        const untilMs = view.list()[0]!.untilMs!;
        const reach = untilMs - rows * stepMs;
        const want = [...naiveRows(plant.windows, stepMs)].filter(([row]) => row >= reach);
        const known = [...got].filter(([row]) => row >= reach);
        expect(known.map(([row]) => row)).toEqual(want.map(([row]) => row));
        known.forEach(([row, [average, ...exact]], i) => {
          const [mean, ...wanted] = want[i]![1];
          expect(exact, `row ${row} of ${stepMs}`).toEqual(wanted);
          expect(Math.abs(average! - mean!)).toBeLessThanOrEqual(1e-6 * Math.max(1, ...exact.map(Math.abs)));
        });
      }
    },
    0.999_999,
  );
}

/** Each run opens real databases and flushes them; a busy disk must not fail it. */
const TIMEOUT_MS = 120_000;

describe('the archives', () => {
  it(
    'hold what a model that keeps every window says, over revisions, pauses and restarts',
    () => {
      fc.assert(
        fc.property(steps, (all) => {
          const folder = storeFolder();
          try {
            const plant = new Plant(folder);
            for (const step of all) plant.run(step);
            plant.close();
            expectAsModel(plant, folder);
          } finally {
            folder.remove();
          }
        }),
        { numRuns: 12 },
      );
    },
    TIMEOUT_MS,
  );

  it(
    'are equal in every bit whenever they are folded and however often the gateway starts',
    () => {
      fc.assert(
        fc.property(steps, (all) => {
          const folders = [storeFolder(), storeFolder()];
          try {
            const calm = all.filter(({ kind }) => kind !== 'crash' && kind !== 'idle');
            const [one, other] = folders.map((folder, i) => {
              const plant = new Plant(folder);
              for (const step of i === 0 ? all : calm) plant.run(step);
              plant.close();
              return reading(folder.path, everything);
            });
            expect(one).toEqual(other);
          } finally {
            for (const folder of folders) folder.remove();
          }
        }),
        { numRuns: 8 },
      );
    },
    TIMEOUT_MS,
  );
});
