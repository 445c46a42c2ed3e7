import { defineConfig } from 'vitest/config';

const SYSTEM = { testTimeout: 300_000, hookTimeout: 60_000 };
/** Fault tests that compare times: they run alone. The others mostly wait, for restarts and outages. */
const TIMED = ['test/fault/hostile-clients.test.ts', 'test/fault/database-outages.test.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 20_000 },
      },
      {
        extends: true,
        test: {
          ...SYSTEM,
          name: 'fault',
          include: ['test/fault/**/*.test.ts'],
          exclude: TIMED,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          ...SYSTEM,
          name: 'system',
          include: ['test/{integration,e2e}/**/*.test.ts', ...TIMED],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
