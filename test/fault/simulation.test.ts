/**
 * The path from the front door's lanes to the forwarders against a simulated clock, disk and network, all out of one
 * seed, and compared with what the sensors alone know. A seed that fails is a run that fails again:
 *
 *   MILLWRIGHT_SEED=12345 npx vitest run --project fault test/fault/simulation.test.ts -t 'keeps every promise'
 */

import { describe, expect, it } from 'vitest';
import { scaled, scaledCount, scaledTimeoutMs } from '../support/scale.ts';
import { MUTANTS } from '../support/simulation/mutants.ts';
import { planOf } from '../support/simulation/plan.ts';
import { type RunOptions, type RunReport, runSeed } from '../support/simulation/run.ts';
import { Broken } from '../support/simulation/violation.ts';

const ONE_SEED = process.env['MILLWRIGHT_SEED'];
const SEEDS = scaledCount('MILLWRIGHT_SEEDS', 2_000, 100_000);
/** A machine that is busy with other things runs fewer seeds, and says so. */
const BUDGET_MS = scaled(420_000, 12 * 3_600_000);
const LEAST_SEEDS = 100;
/** Every mutant has to be found within so many seeds. */
const MUTANT_SEEDS = 150;

/** What broke, or null. @throws anything that is no broken promise: a fault of the simulation itself */
async function broken(seed: number, options: RunOptions = {}): Promise<Broken | null> {
  try {
    await runSeed(seed, options);
    return null;
  } catch (error) {
    if (error instanceof Broken) return error;
    throw new Error(`seed ${seed}`, { cause: error });
  }
}

/** The run again, with as few of its first faults as it takes, told as it goes. */
async function explained(seed: number, first: Broken): Promise<string> {
  const { length } = planOf(seed).faults;
  let faults = 0;
  while (faults < length && (await broken(seed, { faults })) === null) faults += 1;
  const lines: string[] = [];
  const last = await broken(seed, { faults, trace: (line) => lines.push(line) });
  return [
    `MILLWRIGHT_SEED=${seed} npx vitest run --project fault test/fault/simulation.test.ts -t 'keeps every promise'`,
    first.message,
    `with ${faults} of ${length} faults: ${last?.message ?? 'not repeated'}`,
    ...lines.slice(-40),
  ].join('\n');
}

/** Sums of what was done. */
class Totals {
  readonly #sums = new Map<string, number>();

  add(report: RunReport): void {
    for (const [name, value] of Object.entries(report) as [string, number][])
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value);
  }

  of(name: keyof RunReport): number {
    return this.#sums.get(name) ?? 0;
  }
}

describe('a simulated plant', () => {
  const timeout = scaledTimeoutMs(900_000, 13 * 3_600_000);

  it('keeps every promise, whatever fails', { timeout }, async () => {
    const seeds = ONE_SEED ? [Number(ONE_SEED)] : Array.from({ length: SEEDS }, (_, i) => i + 1);
    const totals = new Totals();
    const cpu = process.cpuUsage();
    const startedMs = performance.now();
    let run = 0;
    for (const seed of seeds) {
      if (run >= LEAST_SEEDS && performance.now() - startedMs > BUDGET_MS) break;
      run += 1;
      try {
        totals.add(await runSeed(seed));
      } catch (error) {
        if (!(error instanceof Broken)) throw new Error(`seed ${seed}`, { cause: error });
        throw new Error(await explained(seed, error));
      }
    }
    const { user, system } = process.cpuUsage(cpu);
    const cpuS = (user + system) / 1e6;
    const hours = totals.of('simulatedMs') / 3_600_000;
    console.log(
      `simulation: ${run} of ${seeds.length} seeds, ${hours.toFixed(1)} h in ${cpuS.toFixed(1)} s of CPU, ` +
        `${totals.of('lives')} lives, ${totals.of('commits')} commits, ${totals.of('requests')} requests, ` +
        `${totals.of('resends')} points sent again, ${totals.of('acknowledged')} messages acknowledged, ` +
        `${totals.of('windows')} windows, ${totals.of('late')} samples late; 0 lost, 0 wrong`,
    );
    // A simulation in which nothing happens would keep every promise, too.
    if (run < LEAST_SEEDS) return;
    expect(totals.of('lives')).toBeGreaterThan(1.5 * run);
    expect(totals.of('resends')).toBeGreaterThan(run);
    expect(totals.of('windows')).toBeGreaterThan(20 * run);
  });

  it('runs the same way again from the same seed', async () => {
    for (let seed = 3; seed < 23; seed += 1) expect(await runSeed(seed)).toEqual(await runSeed(seed));
  });
});

describe('the simulation finds out about a gateway that', () => {
  it.each(MUTANTS)('$name', { timeout: scaledTimeoutMs(300_000) }, async (mutant) => {
    for (let seed = 1; seed <= MUTANT_SEEDS; seed += 1) {
      const found = await broken(seed, { mutant });
      if (found === null) continue;
      console.log(`mutant '${mutant.name}': seed ${seed}, ${found.message.split('\n')[0]!.slice(0, 120)}`);
      return;
    }
    expect.fail(`not found within ${MUTANT_SEEDS} seeds`);
  });
});
