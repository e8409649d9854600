import { createHash, randomBytes } from 'node:crypto';
import { beforeAll, expect, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import type { RunningService } from './running-service.js';

let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

/** Debian 12's passt resets a connection sooner whose window stays closed. */
const STANDSTILL_S = 25;

test('an upload outlasts an agent that stands still in the middle of it', async () => {
  const id = await api.create({ timeout: 600 });
  const client = await clientOf(service, id);
  const content = randomBytes(4 * 1024 * 1024);
  await client.commands.run(
    `agent=$(pgrep -o -f /opt/dormouse/agent/agent.mjs); sleep 3; kill -STOP $agent; sleep ${STANDSTILL_S}; kill -CONT $agent`,
    { user: 'root', background: true, timeoutMs: 0 },
  );
  const began = Date.now();
  await client.files.write('large', new Blob([content]), { requestTimeoutMs: 0 });
  expect(Date.now() - began).toBeGreaterThan(STANDSTILL_S * 1000);
  const { stdout } = await client.commands.run('sha256sum < large');
  expect(stdout).toContain(createHash('sha256').update(content).digest('hex'));
  await client.kill();
});
