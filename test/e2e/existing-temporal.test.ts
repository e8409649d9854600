import { execFile } from 'node:child_process';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config.js';
import { Child } from '../../src/setup/child.js';
import { temporalCli } from '../../src/setup/temporal-cli.js';
import { waitForPort } from '../../src/setup/wait.js';
import { ApiClient } from './api-client.js';
import { FIRST_PORT, startService, type RunningService } from './running-service.js';

const run = promisify(execFile);
const PORT = FIRST_PORT + 510;
const ADDRESS = `127.0.0.1:${PORT}`;

let temporal: Child;
let cli: string;
let service: RunningService;
let directory: string;
beforeAll(async () => {
  const config = readConfig(process.env);
  cli = await temporalCli(config, (line) => void process.stderr.write(`${line}\n`));
  directory = path.join(config.home, `test-existing-temporal-${process.pid}`);
  await mkdir(directory, { recursive: true });
  const logFile = path.join(directory, 'temporal.log');
  temporal = new Child({
    ...{ name: 'temporal', command: cli, env: process.env, logFile, stopWithinMs: 10_000, say: () => undefined },
    args: ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(PORT), '--headless', '--log-level', 'error'],
  });
  temporal.start();
  await waitForPort(PORT, 'Temporal', logFile);
  service = await startService('existing', 500, {
    DORMOUSE_TEMPORAL_ADDRESS: ADDRESS,
    DORMOUSE_OVERLAY_POOL: '1',
  });
}, 300_000);
afterAll(async () => {
  await service?.end();
  await temporal?.stop();
  await rm(directory, { recursive: true, force: true });
});

const ask = async (...args: string[]): Promise<string> =>
  (await run(cli, [...args, '--address', ADDRESS, '-o', 'json'])).stdout;

test('an existing Temporal is used instead of one of our own: what it lacks is registered, and a sandbox lives and ends in it', async () => {
  const attributes = await ask('operator', 'search-attribute', 'list');
  for (const name of ['SandboxStatus', 'SandboxHost', 'SandboxTemplate', 'SandboxTenant'])
    expect(attributes).toContain(name);
  expect(await readdir(service.config.stateDir)).not.toContain('temporal.db');

  const api = new ApiClient(service);
  const id = await api.create();
  expect(await api.state(id)).toBe('running');
  const found = (): Promise<string> => ask('workflow', 'list', '--query', `SandboxStatus="running"`);
  await expect.poll(found, { timeout: 10_000 }).toContain(`sandbox-${id}`);
  expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
  expect(await api.state(id)).toBe(404);
});
