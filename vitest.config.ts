import { defineConfig } from 'vitest/config';

/** Levels, from fast to real. `forks`: Temporal's native bridge does not live in worker threads. */
const level = (name: string, include: string[], options: object = {}) => ({
  test: { name, include, pool: 'forks' as const, maxWorkers: 2, testTimeout: 30_000, hookTimeout: 60_000, ...options },
});

export default defineConfig({
  test: {
    projects: [
      level('pure', ['test/{lifecycle,keys,sealing,libvirt,host,invariants,bench}/**/*.test.ts']),
      level('loopback', ['test/{activities,api,proxy,gateway,agent,guard,template,setup,tls}/**/*.test.ts']),
      level('workflow', ['test/{workflows,replay,machineless,linearizability}/**/*.test.ts']),
      level('e2e', ['test/e2e/**/*.test.ts'], {
        // Guests need the processors, and a boot has a time limit.
        sequence: { groupOrder: 1 },
        maxWorkers: 1,
        testTimeout: 180_000,
        hookTimeout: 300_000,
        globalSetup: ['test/e2e/global-setup.ts'],
      }),
    ],
  },
});
