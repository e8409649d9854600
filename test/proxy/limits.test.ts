import { createHash } from 'node:crypto';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { accessToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(async () => {
  vi.useRealTimers();
  await world.stop();
});

const to = (id: string) => ({ 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': '49983', ...world.access(id) });
const at = (id: string, init: RequestInit = {}): Promise<Response> =>
  fetch(world.proxyUrl, { ...init, headers: to(id) });

describe('the streams of a sandbox', () => {
  test('two hundred at once: one whose client does not read slows none of the others', async () => {
    await world.start();
    world.add('i1');
    const waiting: ServerResponse[] = [];
    await world.serveGuest((incoming, response) => {
      if (incoming.url === '/endless') {
        const more = (): void => {
          while (response.write(Buffer.alloc(1 << 16)));
        };
        response.on('drain', more);
        more();
        // None is answered before all of them have come.
      } else if (waiting.push(response) === 200) for (const one of waiting) one.end('late');
    });
    const stuck = await new Promise<IncomingMessage>((resolve) =>
      request(`${world.proxyUrl}/endless`, { headers: to('i1') }, resolve).end(),
    );
    stuck.pause();
    const texts = await Promise.all(Array.from({ length: 200 }, async () => (await at('i1')).text()));
    expect(new Set(texts)).toEqual(new Set(['late']));
    expect(stuck.closed).toBe(false);
    stuck.destroy();
  });

  test('are as many as the limit says; the next gets the 429 of the contract, also a WebSocket, other sandboxes none', async () => {
    world.connectionLimit = 3;
    await world.start();
    world.add('i1');
    world.add('i2');
    const guest = await world.serveGuest((incoming, response) => {
      if (incoming.headers['e2b-sandbox-id'] === 'i2') response.end('free');
      else response.write('open');
    });
    const sockets = new WebSocketServer({ server: guest });
    world.guestPorts.set(8080, (guest.address() as { port: number }).port);
    const socket = new WebSocket(`ws://127.0.0.1:${world.proxyPort}/`, { headers: { host: '8080-i1.x.y' } });
    await new Promise((resolve) => socket.once('open', resolve));
    const stop = new AbortController();
    const streams = await Promise.all([at('i1', { signal: stop.signal }), at('i1', { signal: stop.signal })]);
    expect(streams.map(({ status }) => status)).toEqual([200, 200]);
    const refused = await at('i1');
    expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toEqual([
      ...[429, '1'],
      { sandboxId: 'i1', message: expect.any(String), code: 429, connectionLimit: 3 },
    ]);
    const another = new WebSocket(`ws://127.0.0.1:${world.proxyPort}/`, { headers: { host: '8080-i1.x.y' } });
    another.on('error', () => undefined);
    const status = await new Promise((resolve) =>
      another.once('unexpected-response', (_r, { statusCode }) => resolve(statusCode)),
    );
    expect(status).toBe(429);
    expect(await (await at('i2')).text()).toBe('free');
    stop.abort();
    await expect.poll(() => world.activity.openTo('i1')).toBe(1);
    const again = await at('i1');
    expect(again.status).toBe(200);
    await again.body?.cancel();
    socket.terminate();
    sockets.close();
  });

  test('that wait for it to wake are as many as the limit says, too', async () => {
    world.connectionLimit = 5;
    let refusals = 0;
    world.waitsFor.set('resume', () => refusals === 9);
    await world.start();
    await world.serveGuest((_incoming, response) => void response.end());
    world.add('i1', { status: 'paused' }, { autoResume: true });
    world.guestPorts.set(8080, world.guest.port);
    const headers = { ...to('i1'), 'E2b-Sandbox-Port': '8080' };
    const ask = async (): Promise<Response> => {
      const answer = await fetch(world.proxyUrl, { headers });
      if (answer.status === 429) refusals += 1;
      return answer;
    };
    const answers = await Promise.all(Array.from({ length: 12 }, ask));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(3).fill(200), ...Array(9).fill(429)]);
    const refused = answers.find(({ status }) => status === 429);
    expect(await refused?.json()).toMatchObject({ sandboxId: 'i1', code: 429, connectionLimit: 3 });
  });

  test('that are not its owner’s leave a part of them to the owner, running and asleep', async () => {
    world.connectionLimit = 3;
    await world.start();
    const begun: string[] = [];
    await world.serveGuest((incoming, response) => {
      begun.push(incoming.url ?? '');
      if (incoming.url === '/stays') response.write('open');
      else response.end();
    });
    world.guestPorts.set(8080, world.guest.port);
    const stop = new AbortController();
    const stranger = (path: string): Promise<Response> =>
      fetch(world.proxyUrl + path, {
        headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '8080' },
        signal: stop.signal,
      });
    const owner = (path: string, id = 'i1'): Promise<Response> => fetch(world.proxyUrl + path, { headers: to(id) });
    world.add('i1');
    const strangers = await Promise.all([stranger('/stays'), stranger('/stays'), stranger('/stays')]);
    expect(strangers.map(({ status }) => status).sort()).toEqual([200, 200, 429]);
    expect([(await owner('/health')).status, (await owner('/process.Process/List')).status]).toEqual([200, 200]);
    stop.abort();
    await expect.poll(() => world.activity.openTo('i1')).toBe(0);

    world.add('i2', { status: 'paused' }, { autoResume: true });
    let goOn = false;
    world.waitsFor.set('resume', () => goOn);
    begun.length = 0;
    const waiting = Array.from({ length: 3 }, () =>
      fetch(world.proxyUrl, { headers: { 'E2b-Sandbox-Id': 'i2', 'E2b-Sandbox-Port': '8080' } }),
    );
    const refused = await Promise.race(waiting);
    expect([refused.status, begun]).toEqual([429, []]);
    goOn = true;
    expect((await owner('/process.Process/List', 'i2')).status).toBe(200);
    expect((await Promise.all(waiting)).map(({ status }) => status).sort()).toEqual([200, 200, 429]);
  });
});

describe('signed addresses that do not say which sandbox', () => {
  const wrong = (n: number): string =>
    `/files?path=/a&signature=v1_${createHash('sha256').update(`${n}`).digest('base64')}`;
  const signed = (path: string): string => {
    const file = { path, operation: 'read', user: '', expiration: undefined } as const;
    return `/files?${new URLSearchParams({ path, signature: signFile(file, accessToken(TOKENS_KEY, { id: 'i7' })) })}`;
  };
  const ask = (path: string, localAddress = '127.0.0.1'): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port: world.proxyPort, path, localAddress }, resolve).on('error', reject).end();
    });

  test('of nobody are answered with 429 and Retry-After once a client has shown too many, however many at once', async () => {
    await world.start();
    for (let i = 0; i < 100; i += 1) world.add(`i${i}`);
    await world.serveGuest((_incoming, response) => void response.end('file'));
    const flood = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(wrong(i))));
    const statuses = flood.map(({ statusCode }) => statusCode);
    expect([401, 429].map((status) => statuses.filter((one) => one === status).length)).toEqual([30, 270]);
    expect(Number(flood.at(-1)?.headers['retry-after'])).toBeGreaterThan(1);
    const right = signed('/a');
    expect((await ask(right)).statusCode).toBe(429);
    expect((await ask(right, '127.0.0.2')).statusCode).toBe(200);
  });

  test('cost a bounded time, whoever shows them', async () => {
    // The window in which time is counted stays open; each search takes 50 ms of the 2 s that all may take in it.
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout'] });
    let clock = 0;
    world.searchClock = () => (clock += 50);
    await world.start();
    for (let i = 0; i < 50; i += 1) world.add(`i${i}`);
    const flood = await Promise.all(Array.from({ length: 500 }, (_, i) => ask(wrong(i), `127.0.0.${i % 250}`)));
    const statuses = flood.map(({ statusCode }) => statusCode);
    expect([401, 429].map((status) => statuses.filter((one) => one === status).length)).toEqual([40, 460]);
  });

  test('that are right never count against a client', async () => {
    await world.start();
    world.add('i7');
    await world.serveGuest((_incoming, response) => void response.end('file'));
    for (let i = 0; i < 100; i += 1) {
      const answer = await ask(signed(`/home/${i}`));
      expect(answer.resume().statusCode).toBe(200);
    }
  });
});

describe('a request that is no HTTP', () => {
  const raw = (pieces: (string | Buffer)[]): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(world.proxyPort, '127.0.0.1');
      let all = '';
      socket.on('error', () => undefined).on('data', (chunk) => (all += String(chunk)));
      socket.on('close', () => resolve(all));
      for (const piece of pieces) socket.write(piece);
    });
  const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));

  test.each([
    ['headers of 1 MB', ['GET / HTTP/1.1\r\nHost: 8080-i1.x.y\r\n', `X-A: ${'a'.repeat(1 << 20)}\r\n\r\n`], 431],
    ['ten thousand headers', ['GET / HTTP/1.1\r\nHost: x\r\n', `${'X-A: a\r\n'.repeat(10_000)}\r\n`], 431],
    ['an address of 1 MB', [`GET /${'a'.repeat(1 << 20)} HTTP/1.1\r\nHost: x\r\n\r\n`], 431],
    ['bytes at random', [Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 13, 10, 13, 10])], 400],
    [
      'a body of two lengths',
      ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
      400,
    ],
  ])('%s is refused clearly, and the next request served', async (_name, pieces, status) => {
    await world.start();
    world.add('i1');
    await world.serveGuest((_incoming, response) => void response.end('ok'));
    const answer = await raw(pieces);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} .*\r\ncontent-type: application/json\r\n`));
    expect(bodyOf(answer)).toEqual({ code: status, message: expect.any(String) });
    expect(await (await at('i1')).text()).toBe('ok');
  });
});

describe('the connections of a tenant', () => {
  const port = (id: string): string => `http://8080-${id}.sbx.test/`;

  test('are counted over all its sandboxes; another tenant has its own, and what is closed makes room', async () => {
    await world.start();
    world.limits = { a: { connections: 2 }, b: { connections: 2 } };
    for (const [id, tenant] of [
      ['i1', 'a'],
      ['i2', 'a'],
      ['i3', 'a'],
      ['i4', 'b'],
    ] as const)
      world.add(id, {}, { tenant });
    await world.serveGuest((_incoming, response) => void response.write('open'));
    const stop = new AbortController();
    const open = await Promise.all(['i1', 'i2'].map((id) => at(id, { signal: stop.signal })));
    expect(open.map(({ status }) => status)).toEqual([200, 200]);
    const refused = await at('i3');
    expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toEqual([
      ...[429, '1'],
      { sandboxId: 'i3', message: expect.stringContaining('too many connections'), code: 429 },
    ]);
    const others = await at('i4', { signal: stop.signal });
    expect(others.status).toBe(200);
    stop.abort();
    await expect.poll(() => world.connections.countOf('a')).toBe(0);
    const again = await at('i3');
    expect(again.status).toBe(200);
    await again.body?.cancel();
  });

  test('of visitors leave a quarter to the owner, also a WebSocket counts', async () => {
    await world.start();
    world.limits = { a: { connections: 4 } };
    world.add('i1');
    world.add('i2');
    const guest = await world.serveGuest((_incoming, response) => void response.write('open'));
    const sockets = new WebSocketServer({ server: guest });
    world.guestPorts.set(8080, (guest.address() as { port: number }).port);
    const visit = (id: string): WebSocket =>
      new WebSocket(`ws://127.0.0.1:${world.proxyPort}/`, { headers: { host: new URL(port(id)).host } });
    const visitors = ['i1', 'i1', 'i2'].map(visit);
    await Promise.all(visitors.map((one) => new Promise((resolve) => one.once('open', resolve))));
    const fourth = visit('i2');
    fourth.on('error', () => undefined);
    const status = await new Promise((resolve) =>
      fourth.once('unexpected-response', (_request, answer) => resolve(answer.statusCode)),
    );
    expect(status).toBe(429);
    const owner = await at('i2');
    expect(owner.status).toBe(200);
    await owner.body?.cancel();
    for (const one of visitors) one.terminate();
    await expect.poll(() => world.connections.countOf('a')).toBe(0);
    sockets.close();
  });
});
