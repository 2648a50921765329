import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'apps/*/src/**/*.test.ts',
      'bench/src/**/*.test.ts',
      'e2e/src/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    // Servers are processes of their own and many tests start several: a fork per file keeps
    // signals, working directories and native handles of one file out of the next.
    pool: 'forks',
    // Upper bounds for a hang, not expectations: real PostgreSQL on a busy two-core machine.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
  },
});
