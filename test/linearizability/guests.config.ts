import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/linearizability/guests.ts'], pool: 'forks' },
});
