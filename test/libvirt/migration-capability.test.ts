import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ignoresSharedMemory, ignoreSharedMemory } from '../../src/libvirt/migration-capability.js';

/** Speaks as a QEMU does that waits for its second monitor. */
function monitor(asked: string[]): Server {
  return createServer((socket) => {
    socket.write('{"QMP": {"version": {}}}\n');
    socket.on('data', (bytes) => {
      for (const line of String(bytes).trim().split('\n')) {
        asked.push((JSON.parse(line) as { execute: string }).execute);
        socket.write('{"return": {}}\n');
      }
    });
  });
}

test('a starting QEMU is reached though every thread of libuv is in a call that waits for it', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'dormouse-qmp-'));
  const asked: string[] = [];
  const server = monitor(asked);
  // A pipe opens for reading when somebody writes, and holds a thread until then.
  const pipe = path.join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  let opened = 0;
  const held = Array.from({ length: 16 }, () => open(pipe).then((file) => file.close().finally(() => (opened += 1))));
  const reached = ignoreSharedMemory(path.join(directory, 'qmp'), AbortSignal.timeout(20_000));
  await delay(100);
  server.listen(path.join(directory, 'qmp'));
  await reached;
  expect(asked).toEqual(['qmp_capabilities', 'migrate-set-capabilities']);
  expect(opened).toBe(0);
  server.close();
  const writer = spawn('sh', ['-c', 'while :; do : > "$0"; done', pipe]);
  await Promise.all(held);
  writer.kill();
  await rm(directory, { recursive: true, force: true });
});

/** What a QEMU may do in the middle of the conversation. @returns what came of asking it. */
async function outcomeWith(answer: (socket: Socket, request: string) => void): Promise<unknown> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dormouse-qmp-'));
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    answer(socket, 'connect');
    socket.on('data', (bytes) => answer(socket, (JSON.parse(String(bytes)) as { execute: string }).execute));
  });
  server.listen(path.join(directory, 'qmp'));
  try {
    return await ignoresSharedMemory(path.join(directory, 'qmp'), AbortSignal.timeout(10_000)).catch(
      (error: unknown) => error,
    );
  } finally {
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}
const greeting = '{"QMP": {"version": {}}}\n';

test('a QEMU that ends while its monitor is spoken to is an error of that conversation and of nothing else', async () => {
  const closed = expect.objectContaining({ message: 'QEMU closed its monitor' });
  expect(await outcomeWith((socket) => void socket.end())).toEqual(closed);
  expect(await outcomeWith((socket) => void socket.end(greeting))).toEqual(closed);
  const afterwards = await outcomeWith((socket, request) => {
    if (request === 'connect') socket.write(greeting);
    else socket.destroy();
  });
  expect(afterwards).toBeInstanceOf(Error);
});

test('a QEMU that dies before it was spoken to leaves no error that nobody hears', async () => {
  for (let round = 0; round < 20; round++) {
    const outcome = await outcomeWith((socket) => {
      socket.write(greeting);
      setImmediate(() => socket.destroy());
    });
    expect(outcome).toBeInstanceOf(Error);
  }
});

test('what a monitor refuses or garbles is told in its words', async () => {
  const refused = await outcomeWith((socket, request) => {
    socket.write(request === 'connect' ? greeting : '{"error": {"class": "GenericError", "desc": "no"}}\n');
  });
  expect(String(refused)).toContain('QEMU refused: {"class":"GenericError","desc":"no"}');
  const garbled = await outcomeWith((socket) => void socket.write('nonsense\n'));
  expect(String(garbled)).toContain('no JSON');
});

test.each([
  ['null', 'null\n'],
  ['a number', '1\n'],
  ['no JSON', 'hello\n'],
  ['a line without end', 'x'.repeat(2 << 20)],
])('a QEMU that says %s is an error of that conversation, and of nothing else', async (_what, said) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'dormouse-qmp-'));
  const server = createServer((socket) => void socket.on('error', () => undefined).write(said));
  server.listen(path.join(directory, 'qmp'));
  await expect(ignoresSharedMemory(path.join(directory, 'qmp'), AbortSignal.timeout(20_000))).rejects.toThrow(
    /^QEMU said/,
  );
  server.close();
  await rm(directory, { recursive: true });
});
