import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import type { RunningService } from './running-service.js';

const run = promisify(execFile);
const FIRST_PORT = 61_001;
const PORTS = Array.from({ length: 40 }, (_, index) => FIRST_PORT + index);

/** Where the guest's agent listens on this host. */
async function addressOf(id: string): Promise<string> {
  const { stdout } = await run('virsh', ['dumpxml', `dormouse-${id}`]);
  const [, address] = /portForward[^>]*address='([^']+)'/.exec(stdout) ?? [];
  if (address === undefined) throw new Error(`the machine of ${id} has no forwarded port`);
  return address;
}

/** One request on a connection of its own, from a given port. @returns its status, or what broke it. */
const askFrom = (localPort: number, host: string): Promise<number | string> =>
  new Promise((resolve) => {
    const asked = request({ host, port: 49_983, localPort, path: '/health', agent: false }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
    });
    asked.once('error', (error) => resolve(error.message)).end();
  });

test('a connection from a port that was in use before a pause is answered after it', async () => {
  const api = new ApiClient(inject('service') as RunningService);
  const id = await api.create();
  try {
    const before = await addressOf(id);
    for (const port of PORTS) expect(await askFrom(port, before)).toBe(204);
    expect((await api.call('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
    await api.connect(id);
    const after = await addressOf(id);
    const answers = [];
    for (const port of PORTS) answers.push(await askFrom(port, after));
    expect(answers).toEqual(PORTS.map(() => 204));
  } finally {
    await api.call('DELETE', `/sandboxes/${id}`);
  }
}, 60_000);
