/** Rules between the archives of the history. */

import type { CrossCheck } from './cross-checks.ts';

const ascending: CrossCheck = function* ({ history }) {
  for (const [i, { stepMs }] of history.archives.entries()) {
    const before = history.archives[i - 1]?.stepMs;
    if (before === undefined || (stepMs > before && stepMs % before === 0)) continue;
    yield {
      path: ['history', 'archives', i, 'stepMs'],
      message: `${stepMs} is no multiple of the archive before it (${before}); write the finest first, each a multiple of the last`,
      involves: [['history', 'archives', i - 1, 'stepMs']],
    };
  }
};

export const historyChecks: readonly CrossCheck[] = [ascending];
