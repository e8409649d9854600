import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { StatePaths } from '../../src/host/state-paths.js';
import { GuestWatch } from '../../src/journal/guest-watch.js';
import { Journal } from '../../src/journal/journal.js';

const METRICS = {
  ...{ cpu_count: 2, cpu_used_pct: 5, mem_total: 500, mem_used: 200, mem_cache: 100, disk_used: 10, disk_total: 99 },
};

let directory: string;
let journal: Journal;
let watch: GuestWatch;
let agent: Server | undefined;
let running = true;
const seen: string[] = [];
const answered: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'guest-watch-test-'));
  const paths = new StatePaths(directory);
  await mkdir(paths.sandbox('i1').directory, { recursive: true });
  journal = new Journal(paths);
  running = true;
  seen.length = 0;
  answered.length = 0;
  watch = new GuestWatch({
    journal,
    running: () => ['i1'],
    agentOf: () =>
      running
        ? { address: { host: '127.0.0.1', port: (agent!.address() as AddressInfo).port }, token: 'the-token' }
        : undefined,
    onAnswer: (id) => answered.push(id),
    onForgotten: (id) => seen.push(`${id} has forgotten`),
    log: pino({ level: 'silent' }),
  });
});
afterEach(async () => {
  watch.stop();
  agent?.closeAllConnections();
  agent?.close();
  await rm(directory, { recursive: true, force: true });
});

async function guest(listener: RequestListener): Promise<void> {
  agent = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${String(request.headers['x-access-token'])}`);
    listener(request, response);
  });
  await new Promise<void>((resolve) => agent!.listen(0, '127.0.0.1', resolve));
}

describe('a look at a guest', () => {
  test('asks its agent with its token, and keeps what it says', async () => {
    await guest((request, response) => {
      const events = { events: [{ at: 1, event: 'started', pid: 7, user: 'user' }], dropped: 0 };
      response.end(JSON.stringify(request.url === '/metrics' ? METRICS : events));
    });
    await watch.freshen('i1');
    expect(seen).toEqual(['GET /metrics the-token', 'POST /events the-token']);
    expect(await journal.samples('i1')).toMatchObject([{ cpuCount: 2, memCache: 100 }]);
    expect(await journal.entries('i1')).toMatchObject([{ message: 'process started', fields: { pid: '7' } }]);
  });

  test('is one look for all who ask at once, and none when the last was a moment ago', async () => {
    await guest((_request, response) => response.end(JSON.stringify(METRICS)));
    await Promise.all([watch.freshen('i1'), watch.freshen('i1'), watch.freshen('i1')]);
    await watch.freshen('i1');
    expect(await journal.samples('i1')).toHaveLength(1);
  });

  test('tells that the agent answered, also of a refusal, and not when nothing came', async () => {
    await guest((_request, response) => void response.writeHead(500).end());
    await watch.freshen('i1');
    expect(answered).toEqual(['i1']);
    agent!.close();
    agent!.closeAllConnections();
    await watch.freshen('i1');
    expect(answered).toEqual(['i1']);
  });

  test('ends for who asked while a guest that says nothing is still being listened to', async () => {
    await guest(() => undefined);
    const limits = vi.spyOn(AbortSignal, 'timeout');
    await watch.freshen('i1');
    const over = limits.mock.results.map(({ value }) => (value as AbortSignal).aborted);
    limits.mockRestore();
    expect([seen, over]).toEqual([['GET /metrics the-token'], [false]]);
    expect(await journal.samples('i1')).toEqual([]);
  });

  test.each<[string, RequestListener]>([
    ['no JSON', (_request, response) => void response.end('<html>')],
    ['nonsense', (_request, response) => void response.end('{"cpu_count":-1}')],
    ['a refusal', (_request, response) => void response.writeHead(401).end('{"message":"no"}')],
    ['a cut connection', (_request, response) => void response.destroy()],
  ])('keeps nothing of %s', async (_what, listener) => {
    await guest(listener);
    await watch.freshen('i1');
    expect(await journal.samples('i1')).toEqual([]);
    expect(await journal.entries('i1')).toEqual([]);
  });

  test('notices an agent that does not know its token any more, and no other refusal', async () => {
    await guest((_request, response) => void response.writeHead(seen.length > 1 ? 500 : 401).end('{}'));
    await watch.freshen('i1');
    await watch.freshen('i1');
    expect(seen.filter((line) => line.includes('forgotten'))).toEqual(['i1 has forgotten']);
  });

  test('does not read an answer without an end', async () => {
    let sent = 0;
    let cut = false;
    await guest((_request, response) => {
      response.on('close', () => (cut = true));
      const more = (): void => {
        while (!cut && response.write('x'.repeat(65_536))) sent += 65_536;
      };
      response.on('drain', more);
      more();
    });
    await watch.freshen('i1');
    await expect.poll(() => cut).toBe(true);
    expect(sent).toBeLessThan(16 * 1024 * 1024);
    expect(await journal.samples('i1')).toEqual([]);
  });

  test('writes nothing of a sandbox that stopped meanwhile', async () => {
    await guest((_request, response) => {
      running = false;
      response.end(JSON.stringify(METRICS));
    });
    await watch.freshen('i1');
    expect(await journal.samples('i1')).toEqual([]);
  });
});
