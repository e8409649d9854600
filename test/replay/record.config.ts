import { defineConfig } from 'vitest/config';

/** Recording is asked for by `npm run histories`, never part of a test run. */
export default defineConfig({
  test: { include: ['test/replay/record.ts'], pool: 'forks', testTimeout: 60_000, hookTimeout: 120_000 },
});
