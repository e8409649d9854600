import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StatePaths } from '../../src/host/state-paths.js';
import { ApiClient } from './api-client.js';
import { pythonWith, runPython } from './python-client.js';
import { startService, type RunningService } from './running-service.js';

const run = promisify(execFile);
let service: RunningService;
let api: ApiClient;
beforeAll(async () => {
  service = await startService('expiry', 200, { DORMOUSE_PAUSED_RETENTION: '20s', DORMOUSE_OVERLAY_POOL: '1' });
  api = new ApiClient(service);
}, 300_000);
afterAll(() => service.end());

/** Everything on this host that names the sandbox or its unix user, outside of logs and Temporal's history. */
async function traces(id: string): Promise<string[]> {
  const { stateDir } = service.config;
  const out = async (command: string, args: string[]): Promise<string> =>
    (await run(command, args).catch(() => ({ stdout: '' }))).stdout;
  const files = await out('find', [stateDir, '/var/lib/libvirt', '/run/libvirt', '-name', `*${id}*`]);
  const inside = await out('find', [`${stateDir}/sandboxes`, `${stateDir}/memory`, '-mindepth', '1']);
  const domains = await out('virsh', ['-q', 'list', '--all', '--name']);
  const secrets = await out('virsh', ['-q', 'secret-list']);
  const processes = await out('ps', ['-eo', 'args', '-ww']);
  return [files, inside, domains, secrets, processes]
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.includes(id) || line.includes(`disk of sandbox ${id}`));
}

/** Each waits for its own sandbox, most of the time. Memory is sealed for one sandbox after the other: see below. */
describe.concurrent('what a timer does', () => {
  test('a paused sandbox is gone after its retention: files, key, secret, domain and process, and connect raises NotFoundException', async ({
    expect,
  }) => {
    const id = await api.create();
    expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
    expect(await api.state(id)).toBe('paused');
    expect((await traces(id)).length).toBeGreaterThan(0);
    await expect.poll(() => api.state(id), { timeout: 60_000, interval: 1_000 }).toBe(404);
    expect(await traces(id)).toEqual([]);
    const python = await pythonWith('ucloud_sandbox==1.2.0');
    const program = `
from ucloud_sandbox import Sandbox, NotFoundException
try:
    Sandbox.connect("${id}")
    print("connected")
except NotFoundException:
    print("NotFoundException")
`;
    expect((await runPython(python, service, program)).stdout.trim()).toBe('NotFoundException');
  });

  test('an idle sandbox with automatic pause pauses at its timeout, an active one does not', async ({ expect }) => {
    const id = await api.create({ timeout: 4, autoPause: true });
    const token = (
      (await api.call('POST', `/sandboxes/${id}/connect`, { timeout: 4 })).body as { envdAccessToken: string }
    ).envdAccessToken;
    const list = (): Promise<number> =>
      fetch(`http://127.0.0.1:${service.config.proxyPort}/process.Process/List`, {
        method: 'POST',
        headers: { 'x-access-token': token, 'content-type': 'application/json', 'connect-protocol-version': '1' },
        body: '{}',
      }).then((response) => response.status);
    const until = Date.now() + 10_000;
    while (Date.now() < until) {
      expect(await list()).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    expect(await api.state(id)).toBe('running');
    await expect.poll(() => api.state(id), { timeout: 20_000, interval: 500 }).toBe('paused');
    expect(await list()).toBe(502);
    await api.call('DELETE', `/sandboxes/${id}`);
  });
});

test('what a timeout pauses was sealed before, for the most part, and wakes as it was', async () => {
  const id = await api.create({ timeout: 60, autoPause: true });
  const connect = (timeout: number) => api.call('POST', `/sandboxes/${id}/connect`, { timeout });
  const { envdAccessToken: token } = (await connect(60)).body as { envdAccessToken: string };
  // In the guest's memory.
  const mark = `http://127.0.0.1:${service.config.proxyPort}/files?username=root&path=/dev/shm/mark`;
  const headers = { 'x-access-token': token, 'e2b-sandbox-id': id, 'e2b-sandbox-port': '49983' };
  const content = randomBytes(8 * 1024 * 1024);
  const octets = { ...headers, 'content-type': 'application/octet-stream' };
  expect((await fetch(mark, { method: 'POST', headers: octets, body: content })).status).toBe(200);
  // Only now, so that its first half passes quietly.
  expect((await api.call('POST', `/sandboxes/${id}/timeout`, { timeout: 16 })).status).toBe(204);
  await expect.poll(() => api.state(id), { timeout: 60_000, interval: 500 }).toBe('paused');
  const { directory } = new StatePaths(service.config.stateDir).sandbox(id);
  const images = (await readdir(directory)).filter((name) => name.startsWith('image-'));
  const sizes = await Promise.all(images.map(async (name) => (await stat(path.join(directory, name))).size));
  expect(images).toHaveLength(2);
  // Random bytes do not get smaller: they stand in one of the two.
  expect(Math.min(...sizes)).toBeLessThan(content.length);
  expect(Math.max(...sizes)).toBeGreaterThan(content.length);
  expect((await connect(300)).status).toBe(201);
  expect(Buffer.from(await (await fetch(mark, { headers })).arrayBuffer()).equals(content)).toBe(true);
  await api.call('DELETE', `/sandboxes/${id}`);
});
