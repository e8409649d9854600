import { defineConfig } from 'vitest/config';

/** Levels, from fast to real. `forks`: Temporal's native bridge does not live in worker threads. */
const level = (name: string, include: string[], options: object = {}) => ({
  test: { name, include, pool: 'forks' as const, testTimeout: 30_000, hookTimeout: 60_000, ...options },
});

export default defineConfig({
  test: {
    projects: [
      level('pure', ['test/{lifecycle,keys,sealing,libvirt,host,invariants,bench}/**/*.test.ts']),
      level('loopback', ['test/{activities,api,proxy,gateway,agent,guard,template,setup,tls}/**/*.test.ts'], {
        fileParallelism: false,
      }),
      level('workflow', ['test/{workflows,replay,machineless,linearizability}/**/*.test.ts'], {
        fileParallelism: false,
      }),
      level('e2e', ['test/e2e/**/*.test.ts'], {
        fileParallelism: false,
        testTimeout: 180_000,
        hookTimeout: 300_000,
        globalSetup: ['test/e2e/global-setup.ts'],
      }),
    ],
  },
});
