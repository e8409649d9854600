import type { Limits } from '../../src/tenants/limits.js';

export const NO_LIMITS: Limits = {
  ...{ runningSandboxes: null, cpus: null, memoryMiB: null, diskMiB: null, sleepingSandboxes: null, sleepingMiB: null },
  ...{ createsPerMinute: null, requestsPerSecond: null, connections: null },
};
