import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import { ApiClient } from './api-client.js';
import { pythonWith, runPython } from './python-client.js';
import type { RunningService } from './running-service.js';

const run = promisify(execFile);

/** Answers every request with how many it has had, and echoes WebSocket-like upgrades byte by byte. */
const SERVER = `
import socket, threading
count = 0
def serve(c):
    global count
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        piece = c.recv(65536)
        if not piece: return
        head += piece
    if b"upgrade: websocket" in head.lower():
        import base64, hashlib
        key = [l.split(b":", 1)[1].strip() for l in head.split(b"\\r\\n") if l.lower().startswith(b"sec-websocket-key")][0]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        c.sendall(b"HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
        c.sendall(b"\\x81\\x05awake")
        c.recv(100)
    else:
        count += 1
        body = b"%d" % count
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % len(body) + body)
    c.close()
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 8080))
s.listen(64)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],)).start()
`;

let service: RunningService;
let api: ApiClient;
let id: string;
let proxy: string;
beforeAll(async () => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
  proxy = `127.0.0.1:${service.config.proxyPort}`;
  id = await api.create({ autoPause: true, autoResume: { enabled: true } });
  const python = await pythonWith('ucloud_sandbox==1.2.0');
  const program = `
from ucloud_sandbox import Sandbox
s = Sandbox.connect("${id}")
s.files.write("/home/user/server.py", ${JSON.stringify(SERVER)})
s.commands.run("python3 /home/user/server.py", background=True)
for _ in range(100):
    if s.commands.run("python3 -c 'import socket; socket.create_connection((\\"127.0.0.1\\", 8080)).close()' && echo up || true").stdout.strip() == "up": break
`;
  expect((await runPython(python, service, program)).stderr).toBe('');
});
afterAll(() => api.call('DELETE', `/sandboxes/${id}`));

const ask = (port: number, path = '/'): Promise<Response> =>
  fetch(`http://${proxy}${path}`, { headers: { 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': String(port) } });
const generation = async (): Promise<number> => {
  const { temporal, toolsDir } = service.config;
  const { stdout } = await run(temporal.cli ?? path.join(toolsDir, 'temporal'), [
    ...['workflow', 'query', '--address', temporal.address, '--workflow-id', `sandbox-${id}`, '--type', 'get'],
    ...['--output', 'json'],
  ]);
  return Number(/"generation":\s*(\d+)/.exec(stdout)?.[1]);
};
const pause = async (): Promise<void> => {
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  expect(await api.state(id)).toBe('paused');
};

test('twenty requests at once to a server in a paused guest wake it once, and it answers each of them', async () => {
  await pause();
  expect((await ask(49_983, '/health')).status).toBe(502);
  expect((await ask(49_983, '/files?path=a')).status).toBe(502);
  expect(await api.state(id)).toBe('paused');
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(8080)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  const counts = await Promise.all(answers.map(async (answer) => Number(await answer.text())));
  expect(new Set(counts).size).toBe(20);
  expect(await api.state(id)).toBe('running');
  // Created at generation 1, paused at 2: a second resume would have raised it further.
  expect(await generation()).toBe(3);
  expect((await ask(49_983, '/health')).status).toBe(204);
});

test('a WebSocket to a paused guest wakes it, and works', async () => {
  await pause();
  const socket = new WebSocket(`ws://${proxy}/`, { headers: { host: `8080-${id}.localhost` } });
  const said = await new Promise((resolve, reject) => {
    socket.once('message', (data: Buffer) => resolve(data.toString()));
    socket.once('error', reject);
  });
  expect(said).toBe('awake');
  socket.terminate();
  expect(await api.state(id)).toBe('running');
});
