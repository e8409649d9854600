import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createAgent, type AgentOptions } from './server.js';

const TOKEN = 'rehearsal';

/**
 * Once through what clients do first, on an agent of its own behind a unix socket: the template is captured after it, so
 * that every sandbox wakes with this code compiled and the programs it starts in memory.
 */
export async function rehearse(options: AgentOptions): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rehearsal-'));
  const agent = createAgent(options);
  const socketPath = path.join(directory, 'socket');
  const ask = (method: string, route: string, type: string, body: Buffer = Buffer.alloc(0)): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { 'x-access-token': TOKEN, 'content-type': type, 'connect-protocol-version': '1' };
      const asked = request({ socketPath, method, path: route, headers, agent: false }, (response) => {
        response.resume().once('close', resolve);
      });
      asked.once('error', reject);
      asked.end(body);
    });
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  try {
    agent.listen(socketPath);
    await once(agent, 'listening');
    options.reseeds.readOn();
    const file = `/files?path=${encodeURIComponent(path.join(directory, 'file'))}&username=root`;
    const command = { process: { cmd: '/bin/bash', args: ['-l', '-c', 'echo'] }, stdin: false };
    await ask('POST', '/init', 'application/json', json({ accessToken: TOKEN, timestamp: new Date().toISOString() }));
    for (let round = 0; round < 3; round++) {
      await ask('POST', '/process.Process/Start', 'application/connect+json', frame(json(command)));
      await ask('POST', '/process.Process/List', 'application/json', json({}));
      await ask('POST', '/filesystem.Filesystem/ListDir', 'application/json', json({ path: directory }));
      await ask('POST', file, 'application/octet-stream', Buffer.from('text'));
      await ask('GET', file, 'application/json');
      await ask('GET', '/health', 'application/json');
    }
  } finally {
    agent.closeAllConnections();
    agent.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** One message of a Connect stream: flags, length, content. */
function frame(content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}
