import { expect, test } from 'vitest';
import { createLogger } from '../../src/log.js';
import type { Manifest } from '../../src/host/manifest.js';
import type { SandboxIndex } from '../../src/host/sandbox-index.js';
import { WarmPool } from '../../src/host/warm-pool.js';

const booting = {
  ...{ id: 'a', phase: { name: 'booting' }, view: { spec: { id: 'a', tenant: 't' } } },
} as unknown as Manifest;

test('the pool waits for a sandbox that is being made, and not for one whose guest does not come up', async () => {
  const started: string[] = [];
  let isUnderWay = true;
  const pool = new WarmPool({
    ...{ size: 1, hostId: 'h', index: { all: () => [booting] } as unknown as SandboxIndex },
    newest: async () => ({ key: 'k', names: ['base'], cpuCount: 1, memoryMiB: 1, diskMiB: 1, envdVersion: '1' }),
    ...{ fits: async () => true, isFree: () => true, isUnderWay: () => isUnderWay, newId: () => 'w' },
    start: async ({ id }) => void started.push(id),
    ...{ discard: async () => undefined, log: createLogger('test', 'fatal' as 'error') },
  });
  await pool.tend();
  expect(started).toEqual([]);
  isUnderWay = false;
  await pool.tend();
  expect(started).toEqual(['w']);
});
