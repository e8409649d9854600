import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { newAgentState } from '../../../src/agent/agent-state.js';
import { userFiles } from '../../../src/agent/filesystem/user-files.js';
import { ProcessEvents } from '../../../src/agent/process/process-events.js';
import { rpcListener } from '../../../src/agent/rpc.js';

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return { ...fs, lstatSync: vi.fn(fs.lstatSync) };
});

const ENTRIES = 3_000;

/** The agent's service in this process, with a directory in which looks at entries can be slow. */
let directory: string;
let server: Server;
/** Called at each look at an entry. @returns whether it takes a millisecond */
let onLook: (looked: number) => boolean;
let looked = 0;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'listing-'));
  await mkdir(at('large'));
  for (let number = 0; number < ENTRIES; number += 1) await writeFile(at(`large/${number}`), '');
  const state = { ...newAgentState(), accessToken: 'token', defaultUser: userInfo().username };
  server = createServer(rpcListener(state, new ProcessEvents(), {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const look = vi.mocked(lstatSync).getMockImplementation()!;
  vi.mocked(lstatSync).mockImplementation(((file: string, options: object) => {
    if (path.dirname(file) === at('large')) {
      if (onLook((looked += 1))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
    return look(file, options);
  }) as typeof lstatSync);
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  looked = 0;
});

const at = (name: string): string => path.join(directory, name);
const call = (method: string, body: object, signal?: AbortSignal): Promise<Response> =>
  fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/filesystem.Filesystem/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-access-token': 'token' },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });

test('others are answered while a large directory is listed', async () => {
  const answered: string[] = [];
  let other: Promise<unknown> | undefined;
  onLook = () => {
    other ??= call('Stat', { path: directory }).then(() => answered.push('other'));
    return answered.length === 0;
  };
  const answer = await call('ListDir', { path: at('large') });
  answered.push('listing');
  await other;
  expect(answered).toEqual(['other', 'listing']);
  const { entries } = (await answer.json()) as { entries: { name: string }[] };
  expect(entries.map(({ name }) => name)).toEqual(Array.from({ length: ENTRIES }, (_, number) => `${number}`).sort());
});

test('a listing ends when its client goes away', async () => {
  const list = vi.spyOn(userFiles, 'list');
  const client = new AbortController();
  onLook = (count) => {
    if (count === 100) client.abort();
    return list.mock.calls[0]![2]?.aborted !== true;
  };
  await expect(call('ListDir', { path: at('large') }, client.signal)).rejects.toThrow('abort');
  await expect(list.mock.results[0]!.value).rejects.toThrow();
  expect(looked).toBeLessThan(ENTRIES);
});
