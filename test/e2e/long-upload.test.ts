import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, expect, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import type { RunningService } from './running-service.js';

const MIB = 1024 * 1024;
/** Debian 12's passt resets a connection sooner whose window stays closed. */
const STANDSTILL_S = 25;

let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

let id: string;
afterEach(() => api.call('DELETE', `/sandboxes/${id}`));

/** In the guest: stops the agent once it has taken the first part of an upload, and lets it go on after a while. */
const STOP_AGENT = `
agent=$(pgrep -o -x dormoused)
until [ "$(cat /home/user/.upload-* 2> /dev/null | wc -c)" -ge 262144 ]; do sleep 0.1; done
kill -STOP $agent; sleep ${STANDSTILL_S}
cat /home/user/.upload-* | wc -c > /home/user/taken; kill -CONT $agent`;

test('an upload outlasts an agent that stands still in the middle of it', async () => {
  id = await api.create({ timeout: 600 });
  const client = await clientOf(service, id);
  const { envdAccessToken } = (await api.call('GET', `/sandboxes/${id}`)).body as { envdAccessToken: string };
  const headers = { 'x-access-token': envdAccessToken, 'e2b-sandbox-id': id, 'e2b-sandbox-port': '49983' };
  const answersHealth = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${service.config.proxyPort}/health`, { headers, signal: AbortSignal.timeout(3_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
  await client.commands.run(STOP_AGENT, { user: 'root', background: true, timeoutMs: 0 });

  const content = randomBytes(8 * MIB);
  const upload = request({
    ...{ host: '127.0.0.1', port: service.config.proxyPort, method: 'POST', path: '/files?path=/home/user/large' },
    headers: { ...headers, 'content-type': 'application/octet-stream', 'content-length': content.length },
  });
  const answered = once(upload, 'response') as Promise<[IncomingMessage]>;
  answered.catch(() => undefined);
  upload.write(content.subarray(0, MIB));
  while (await answersHealth()) await delay(200);
  upload.end(content.subarray(MIB));
  const [answer] = await answered;
  expect(answer.resume().statusCode).toBe(200);
  // At the end of the standstill it was still in its first part.
  const taken = Number(await client.files.read('/home/user/taken', { user: 'root' }));
  expect(taken).toBeGreaterThanOrEqual(262_144);
  expect(taken).toBeLessThanOrEqual(MIB);
  const { stdout } = await client.commands.run('sha256sum < /home/user/large');
  expect(stdout).toContain(createHash('sha256').update(content).digest('hex'));
});
