import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Identity, IDENTITY_FILES } from './identity.js';
import { RESEED_RECORD, ReseedWatch } from './reseed.js';
import { createAgent, type AgentOptions } from './server.js';

const TOKEN = 'rehearsal';
const ROUNDS = 4;
/** So many that the code of a listing is compiled for good: a guest that compiles it first takes twice as long for its first one. */
const FILES = 500;

/**
 * Through what the host and clients do first, some times over, on an agent of its own behind another port of loopback: the
 * template is captured after it, so that every sandbox wakes with this code compiled and the programs it starts in
 * memory. What is left out here is compiled anew by every sandbox, in the second in which somebody waits for it.
 */
export async function rehearse(options: AgentOptions): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rehearsal-'));
  const kernelLog = path.join(directory, 'kmsg');
  await writeFile(kernelLog, '');
  const root = await makeRoot(directory);
  const many = await makeFiles(directory);
  const agent = createAgent({ ...options, reseeds: new ReseedWatch(kernelLog), identity: new Identity(root) });
  const ask = (method: string, route: string, type: string, body: Buffer = Buffer.alloc(0)): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { 'x-access-token': TOKEN, 'content-type': type, 'connect-protocol-version': '1' };
      const { port } = agent.address() as AddressInfo;
      const asked = request({ port, method, path: route, headers, agent: false }, (response) => {
        response.resume().once('close', resolve);
      });
      asked.once('error', reject);
      asked.end(body);
    });
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  try {
    agent.listen(0, '127.0.0.1');
    await once(agent, 'listening');
    options.reseeds.readOn();
    const file = `/files?path=${encodeURIComponent(path.join(directory, 'file'))}&username=root`;
    const command = { process: { cmd: '/bin/bash', args: ['-l', '-c', 'echo'] }, stdin: false };
    const init = { accessToken: TOKEN, envVars: {}, defaultUser: 'user', requireReseed: true };
    for (let round = 1; round <= ROUNDS; round++) {
      await writeFile(kernelLog, `6,${round},0,-;${RESEED_RECORD}\n`, { flag: 'a' });
      await ask(
        'POST',
        '/init',
        'application/json',
        json({
          ...init,
          wake: String(round),
          timestamp: new Date().toISOString(),
          machineId: randomBytes(16).toString('hex'),
        }),
      );
      await ask('POST', '/process.Process/Start', 'application/connect+json', frame(json(command)));
      await ask('POST', '/process.Process/List', 'application/json', json({}));
      await ask('POST', '/filesystem.Filesystem/ListDir', 'application/json', json({ path: many }));
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

/** A root directory whose identity the rehearsal may replace: the guest's own is given by the host, once. */
async function makeRoot(directory: string): Promise<string> {
  const root = path.join(directory, 'root');
  for (const name of Object.values(IDENTITY_FILES)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), 'rehearsal\n');
  }
  return root;
}

async function makeFiles(directory: string): Promise<string> {
  const many = path.join(directory, 'many');
  await mkdir(many);
  for (let number = 0; number < FILES; number++) await writeFile(path.join(many, `file-${number}`), '');
  return many;
}

/** One message of a Connect stream: flags, length, content. */
function frame(content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}
