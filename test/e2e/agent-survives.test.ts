import { beforeAll, expect, inject, test } from 'vitest';
import type { Sandbox } from 'e2b';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import type { RunningService } from './running-service.js';

/** What users do in a guest ends their own programs at most. */
let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

const listed = async (client: Sandbox): Promise<number[]> => (await client.commands.list()).map(({ pid }) => pid);

/** A command whose client is cut when its own pattern matches it, or the agent dies. */
const whatever = (client: Sandbox, command: string): Promise<unknown> =>
  client.commands.run(command, { timeoutMs: 30_000 }).catch((error: unknown) => error);

test('a program that takes all memory dies with words that say so, and nothing else does', async () => {
  const id = await api.create({ timeout: 600 });
  const client = await clientOf(service, id);
  const keep = await client.commands.run('sleep 900', { background: true, timeoutMs: 0 });
  const hog = `python3 -c "b=[bytearray(b'x')*(64<<20) for _ in range(40)]"`;
  const ended = (await whatever(client, hog)) as { exitCode?: number; error?: string };
  expect(ended.exitCode).not.toBe(0);
  expect(ended.error).toContain('ran out of memory');
  expect((await client.commands.run('echo alive')).stdout).toBe('alive\n');
  expect(await listed(client)).toContain(keep.pid);
  const { stdout } = await client.commands.run('systemctl show -p NRestarts dormouse-agent; cat /proc/self/cgroup');
  expect(stdout).toBe('NRestarts=0\n0::/programs\n');
  const threads = `python3 -c "
import threading, time
try:
  for n in range(700): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
  print(n, flush=True)
except RuntimeError: print('no more than', n, flush=True)
time.sleep(600)"`;
  const many = await client.commands.run(threads, { background: true, timeoutMs: 0 });
  await expect.poll(() => many.stdout, { timeout: 120_000 }).toBe('699\n');
  expect((await client.commands.run('echo alive')).stdout).toBe('alive\n');
  await many.kill();
  await api.call('GET', `/sandboxes/${id}/metrics`);
  const said = async (): Promise<string> => JSON.stringify((await api.call('GET', `/v2/sandboxes/${id}/logs`)).body);
  await expect.poll(said, { timeout: 30_000 }).toContain('memory ran out');
  await api.call('DELETE', `/sandboxes/${id}`);
}, 300_000);

test('an agent that is killed comes back with all that it knew, and common names do not hit it', async () => {
  const id = await api.create({ timeout: 600 });
  let client = await clientOf(service, id);
  const agentPid = async (): Promise<string> =>
    (await client.commands.run('systemctl show -p MainPID --value dormouse-agent')).stdout.trim();
  const keep = await client.commands.run('while sleep 0.2; do echo tick; done', { background: true, timeoutMs: 0 });
  const first = await agentPid();
  for (const name of ['node', 'python3', 'agent', 'server', 'main'])
    for (const how of ['', '-f ']) await whatever(client, `sudo pkill -9 ${how}${name}`);
  expect(await agentPid()).toBe(first);
  await whatever(client, `sudo kill -9 ${first}`);
  expect((await client.commands.run('echo alive')).stdout).toBe('alive\n');
  expect(await agentPid()).not.toBe(first);
  expect(await listed(client)).toContain(keep.pid);
  let heard = '';
  const again = await client.commands.connect(keep.pid, { onStdout: (text) => void (heard += text) });
  await expect.poll(() => heard, { timeout: 20_000 }).toContain('tick');
  await again.disconnect();
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  client = await clientOf(service, id);
  expect(await listed(client)).toContain(keep.pid);
  await client.commands.run("sudo find /run '(' -type p -o -type s ')' -delete");
  expect((await client.commands.run('echo by name > /dev/stderr')).stderr).toBe('by name\n');
  await api.call('DELETE', `/sandboxes/${id}`);
}, 300_000);
