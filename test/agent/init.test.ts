import { afterEach, beforeEach, expect, test } from 'vitest';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { AGENT_VERSION } from '../../src/agent/version.js';
import { health, init } from '../../src/guest/client.js';
import { freePort, initialise, startAgent, type RunningAgent } from './agent-process.js';

let agent: RunningAgent;
beforeEach(async () => {
  agent = await startAgent({ initialised: false });
});
afterEach(() => agent.stop());

const soon = () => AbortSignal.timeout(5_000);

test('before its first init the agent answers health and refuses everything else', async () => {
  expect(await health(agent.address, soon())).toBe(true);
  for (const route of ['/metrics', '/envs', '/files?path=/etc/hostname', '/nothing']) {
    const answer = await agent.fetch(route);
    expect([answer.status, await answer.json()]).toEqual([401, { code: 401, message: expect.any(String) }]);
  }
  await expect(agent.processes.list({})).rejects.toThrow('[unauthenticated]');
});

test('init tells the boot id and the version, and opens the agent to its token', async () => {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  expect(await initialise(agent.address, { A: '1' })).toMatchObject({ bootId, envdVersion: AGENT_VERSION });
  expect(await (await agent.fetch('/envs')).json()).toEqual({ A: '1' });
  expect((await agent.fetch('/envs', { headers: { 'x-access-token': 'other' } })).status).toBe(401);
  expect(await (await agent.fetch('/metrics')).json()).toMatchObject({ cpu_count: expect.any(Number) });
  expect((await agent.processes.list({})).processes).toEqual([]);
});

test('a later init needs the token of the first', async () => {
  await initialise(agent.address);
  const body = { envVars: {}, accessToken: 'mine', timestamp: new Date().toISOString(), defaultUser: 'root' };
  const refused = init(agent.address, 'mine', body, soon());
  await expect(refused).rejects.toMatchObject({ name: 'AgentRefusedError', message: expect.stringContaining('401') });
  await initialise(agent.address, { B: '2' });
  expect(await (await agent.fetch('/envs')).json()).toEqual({ B: '2' });
});

test('after an init the next request finds the new identity; where that cannot be written, the sandbox opens all the same', async () => {
  const body = { envVars: {}, accessToken: 't', timestamp: new Date().toISOString(), defaultUser: 'root' };
  const machineId = 'a1'.repeat(16);
  expect(await init(agent.address, 't', { ...body, machineId }, soon())).toMatchObject({ envdVersion: AGENT_VERSION });
  await mkdir(path.join(agent.directory, 'root/etc'), { recursive: true });
  await init(agent.address, 't', { ...body, machineId }, soon());
  expect((await agent.fetch('/health')).status).toBe(204);
  expect(await readFile(path.join(agent.directory, 'root/etc/machine-id'), 'utf8')).toBe(`${machineId}\n`);
});

test('an init that is no JSON, or of wrong types, is refused and changes nothing', async () => {
  for (const body of [
    '{',
    '[]',
    '{"envVars":{"A":1}}',
    '{"timestamp":"yesterday"}',
    '{"accessToken":7}',
    '{"machineId":"../x"}',
  ]) {
    const answer = await fetch(`${agent.url}/init`, { method: 'POST', body });
    expect([body, answer.status]).toEqual([body, 400]);
  }
  await initialise(agent.address);
});

test('an agent that is not there is no refusal', async () => {
  const address = { host: '127.0.0.1', port: await freePort() };
  await expect(health(address, soon())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await expect(initialise(address)).rejects.toMatchObject({ name: 'Error' });
});
