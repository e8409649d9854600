import { defineConfig } from 'vitest/config';

/** Levels, from fast to real. `forks`: Temporal's native bridge does not live in worker threads. */
const level = (name: string, include: string[], options: object = {}) => ({
  test: {
    ...{ name, include, pool: 'forks' as const, maxWorkers: 3, testTimeout: 30_000, hookTimeout: 60_000 },
    // What a poll waits for must come; how soon, on a machine that does other things besides, says nothing.
    expect: { poll: { timeout: 10_000 } },
    ...options,
  },
});

export default defineConfig({
  test: {
    projects: [
      level('pure', ['test/{lifecycle,keys,sealing,libvirt,host,tenants,invariants,bench}/**/*.test.ts']),
      level('loopback', ['test/{activities,api,proxy,gateway,agent,guard,template,setup,tls}/**/*.test.ts']),
      // Temporal's servers need the processors, and so do guests: what waits for them has a time limit.
      level('workflow', ['test/{workflows,replay,machineless,linearizability}/**/*.test.ts'], {
        sequence: { groupOrder: 1 },
        maxWorkers: 2,
      }),
      level('e2e', ['test/e2e/**/*.test.ts'], {
        sequence: { groupOrder: 2 },
        maxWorkers: 1,
        // Of tests that wait for their guests beside each other.
        maxConcurrency: 3,
        testTimeout: 180_000,
        hookTimeout: 300_000,
        globalSetup: ['test/e2e/global-setup.ts'],
      }),
    ],
  },
});
