/** The store of a data directory enters, what it wrote and whether it was damaged leaves; also beside a running gateway. */

import type { Config } from '../../config/schema.ts';
import { standingDamage } from '../../store/quarantine.ts';
import { openStoreReadOnly } from '../../store/store.ts';
import { forecast, type Wear } from '../../store/wear-meter.ts';
import { formatBytes, formatLife } from '../terminal/output.ts';
import { ok, type Verdict, warn } from './verdict.ts';

/** A device is expected to serve this long without a new card. */
const EXPECTED_LIFE_DAYS = 3 * 365;

/** No verdict where there is no store yet. */
export function checkStore({ dataDir, store }: Config): Verdict[] {
  const wear = wearOf(dataDir);
  const verdicts = wear === null ? [] : [wearVerdict(wear, store.flash)];
  const damage = standingDamage(dataDir, Date.now());
  if (damage === null) return verdicts;
  const when = new Date(damage.atMs).toISOString();
  return [
    ...verdicts,
    warn(
      'store damage',
      `${when}: ${damage.reason}; the file lies in ${damage.folder}`,
      'check the medium, then remove the folder: the alarm ends with it',
    ),
  ];
}

function wearOf(dataDir: string): Wear | null {
  try {
    const store = openStoreReadOnly(dataDir);
    try {
      return store.wear();
    } finally {
      store.close();
    }
  } catch {
    return null;
  }
}

/** Only what was observed counts: nothing is said in the first ten minutes. */
export function wearVerdict(wear: Wear, flash: Config['store']['flash']): Verdict {
  const { bytesPerDay, lifeDays, observedMs } = forecast(wear, flash);
  if (bytesPerDay === null || lifeDays === null)
    return ok('flash wear', 'not observed long enough to tell a rate');
  const said =
    `${formatBytes(bytesPerDay)} a day, observed over ${(observedMs / 3_600_000).toFixed(1)} h: ` +
    `${formatLife(lifeDays)} for ${formatBytes(flash.capacityBytes)} at ${flash.writeCycles} cycles`;
  if (bytesPerDay <= flash.budgetBytesPerDay && lifeDays >= EXPECTED_LIFE_DAYS) return ok('flash wear', said);
  return warn(
    'flash wear',
    `${said}; the budget is ${formatBytes(flash.budgetBytesPerDay)} a day`,
    'store.profile: sd-saver, a longer store.commitWindowMs, or an endurance card',
  );
}
