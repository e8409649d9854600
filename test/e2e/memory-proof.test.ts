import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pythonWith, runPython } from './python-client.js';
import { startService, type RunningService } from './running-service.js';

const holder = await readFile(path.join(import.meta.dirname, 'guest-programs/holder.py'), 'utf8');

/** At most: it sleeps between two. */
const COUNTS_PER_S = 20;
const ASK = `python3 -c "import socket; s = socket.create_connection(('127.0.0.1', 7070)); print(s.recv(4096).decode())"`;

/** In its own service, because this one is crashed. */
let service: RunningService;
let python: string;
beforeAll(async () => {
  python = await pythonWith('ucloud_sandbox==1.2.0');
  service = await startService('memory', 100);
}, 300_000);
afterAll(() => service.end());

async function play(program: string, timeoutMs?: number): Promise<string[]> {
  const result = await runPython(python, service, program, timeoutMs);
  expect(result.stderr).toBe('');
  return result.stdout.trim().split('\n');
}

test('a process keeps pid, variable, file offset, socket and counter over a pause, while workers and api are killed and started again', async () => {
  const [id, before, ranBefore] = await play(`
import json, time
from ucloud_sandbox import Sandbox
s = Sandbox.create(timeout=600)
s.files.write("/home/user/holder.py", ${JSON.stringify(holder)})
h = s.commands.run("python3 /home/user/holder.py secret-in-memory", background=True)
for _ in range(100):
    asked = time.time()
    r = s.commands.run(${JSON.stringify(`test -e /home/user/opened.txt && ${ASK} || true`)})
    if r.stdout.strip(): break
    time.sleep(0.2)
print(s.sandbox_id)
print(r.stdout.strip())
s.beta_pause()
print(time.time() - asked)
`);
  const then = JSON.parse(before!) as Record<string, number | string>;
  await service.crash(['control-worker', 'host-worker', 'api']);
  await service.ready();
  const [after, ranAfter, clock, files] = await play(`
import time
from ucloud_sandbox import Sandbox
woken = time.time()
s = Sandbox.connect("${id}")
print(s.commands.run(${JSON.stringify(ASK)}).stdout.strip())
print(time.time() - woken)
print(woken, s.commands.run("date +%s.%N").stdout.strip(), time.time())
print(s.files.read("/home/user/opened.txt"))
`);
  const [woken, guest, answered] = clock!.split(' ').map(Number) as [number, number, number];
  // It was set to a moment of the wake, and has gone on since.
  expect(guest).toBeGreaterThan(woken - 1);
  expect(guest).toBeLessThan(answered + 1);
  const now = JSON.parse(after!) as Record<string, number | string>;
  expect({ ...now, count: 0 }).toEqual({ ...then, count: 0 });
  expect(now['secret']).toBe('secret-in-memory');
  expect(Number(now['count'])).toBeGreaterThan(Number(then['count']));
  // It went on from where it stood: while it was paused, it did not count.
  const ran = Number(ranBefore) + Number(ranAfter);
  expect(Number(now['count']) - Number(then['count'])).toBeLessThanOrEqual(ran * COUNTS_PER_S + 1);
  expect(files).toBe('0123456789');
  await play(`from ucloud_sandbox import Sandbox\nprint(Sandbox.kill("${id}"))`);
});

test('ten cycles of pause and connect keep every file and every change in memory, and the disk does not grow with them', async () => {
  const out = await play(
    `
import os
from ucloud_sandbox import Sandbox
s = Sandbox.create(timeout=600)
s.files.write("/home/user/holder.py", ${JSON.stringify(holder)})
s.commands.run("python3 /home/user/holder.py cycles", background=True)
def size():
    total = 0
    for root, _, names in os.walk("${service.config.stateDir}/sandboxes/" + s.sandbox_id):
        for n in names:
            if n.startswith("image-"): total += os.stat(os.path.join(root, n)).st_blocks * 512
    return total
sizes = []
for i in range(10):
    s.files.write(f"/home/user/file-{i}", f"content {i}" * 1000)
    s.commands.run(f"echo {i} > /dev/shm/in-memory-{i}")
    s.beta_pause()
    sizes.append(size())
    s = Sandbox.connect(s.sandbox_id)
    in_memory = s.commands.run(f"cd /dev/shm; for j in $(seq 0 {i}); do cat in-memory-$j; done").stdout.split()
    assert in_memory == [str(j) for j in range(i + 1)], (i, in_memory)
# What a cycle had lost would not be back.
for j in range(10):
    assert s.files.read(f"/home/user/file-{j}") == f"content {j}" * 1000, j
print(sizes[1], sizes[-1])
s.kill()
`,
    280_000,
  );
  const [second, last] = out.at(-1)!.split(' ').map(Number);
  expect(last!).toBeLessThan(second! * 2 + 8 * 1024 * 1024);
}, 300_000);
