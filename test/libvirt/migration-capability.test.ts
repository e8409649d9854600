import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ignoreSharedMemory } from '../../src/libvirt/migration-capability.js';

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
