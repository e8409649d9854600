import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { ErrorCode } from '../../workflows/errors.js';
import { accessToken, trafficToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

/** Proxy, gateway, api and the joined updates are real; only the workflows behind are played. */
let world: FakeWorld;
let bodies: string[];
beforeEach(async () => {
  world = await new FakeWorld().start();
  bodies = [];
  const guest = await world.serveGuest((incoming, response) => {
    let text = '';
    incoming.on('data', (chunk) => (text += String(chunk))).on('end', () => response.end(`got ${bodies.push(text)}`));
  });
  world.guestPorts.set(8080, (guest.address() as { port: number }).port);
  new WebSocketServer({ server: guest }).on('connection', (socket) =>
    socket.on('message', (data) => socket.send(data)),
  );
  world.add('i1', { status: 'paused' }, { autoResume: true });
});
afterEach(() => world.stop());

const NOT_FOUND = { sandboxId: 'i1', message: 'The sandbox was not found', code: 502 };
const TOKEN = accessToken(TOKENS_KEY, { id: 'i1' });

const at = (path: string, init: RequestInit = {}, port = 8080): Promise<Response> =>
  fetch(world.proxyUrl + path, {
    ...init,
    headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': String(port), ...(init.headers as object) },
  });

describe('a request to a sleeping sandbox that was made with autoResume', () => {
  test('is held, wakes it, and is answered by it', async () => {
    const response = await at('/');
    expect([response.status, await response.text()]).toEqual([200, 'got 1']);
    expect(world.calls).toEqual([
      { verb: 'resume', id: 'i1', updateId: 'resume:1', input: { mode: 'traffic', timeoutMs: 300_000 } },
    ]);
  });

  test('with a large body arrives whole and once', async () => {
    world.delayMs = 150;
    const body = 'x'.repeat(20 << 20);
    const response = await at('/', { method: 'POST', body });
    expect(response.status).toBe(200);
    expect(bodies.map((text) => text.length)).toEqual([body.length]);
  });

  test('of which many come at once wakes it once, connects among them', async () => {
    world.delayMs = 300;
    world.waitsFor.set('resume', () => world.lookedUp >= 102);
    const requests = Array.from({ length: 100 }, (_, i) => at('/', i % 2 === 0 ? {} : { method: 'POST', body: 'b' }));
    const connect = world.api('POST', '/v2/sandboxes/i1/connect', {});
    const statuses = await Promise.all(requests.map(async (one) => (await one).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect((await connect).status).toBe(201);
    expect(world.countOf('resume')).toBe(1);
    expect(bodies).toHaveLength(100);
  });

  test('is named like the update of a connect, so that other apis join it', async () => {
    const other = await new FakeWorld().start();
    other.add('i1', { status: 'paused' }, { autoResume: true });
    await at('/');
    await other.api('POST', '/v2/sandboxes/i1/connect', {});
    expect(other.calls[0]?.updateId).toBe(world.calls[0]?.updateId);
    await other.stop();
  });

  test('may be a WebSocket', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${world.proxyPort}/`, { headers: { host: '8080-i1.sbx.test' } });
    const back = new Promise((resolve) => socket.once('message', (data: Buffer) => resolve(data.toString())));
    socket.once('open', () => socket.send('hello'));
    expect(await back).toBe('hello');
    socket.terminate();
  });

  test('gives it its own timeout, but five minutes at least', async () => {
    world.views.get('i1')!.spec.timeoutMs = 15_000;
    const before = Date.now();
    await at('/');
    expect(world.views.get('i1')!.endAt).toBeGreaterThanOrEqual(before + 300_000);
    world.add('i1', { status: 'paused' }, { autoResume: true, timeoutMs: 3_600_000 });
    await at('/');
    expect(world.views.get('i1')!.endAt).toBeGreaterThanOrEqual(before + 3_600_000);
  });

  test('waits for a pause that is under way, then wakes it', async () => {
    world.add('i1', { status: 'pausing' }, { autoResume: true });
    const held = at('/');
    await delay(100);
    expect(bodies).toEqual([]);
    world.views.get('i1')!.status = 'paused';
    expect((await held).status).toBe(200);
    expect(world.countOf('resume')).toBe(1);
  });

  test('that the pause leaves with its disk alone is refused, and a connect that joined it meanwhile boots the sandbox', async () => {
    world.add('i1', { status: 'pausing' }, { autoResume: true });
    const visitor = at('/');
    await expect.poll(() => world.countOf('resume')).toBe(1);
    const lookedUp = world.lookedUp;
    const connecting = world.api('POST', '/v2/sandboxes/i1/connect', {});
    await expect.poll(() => world.lookedUp).toBeGreaterThan(lookedUp);
    Object.assign(world.views.get('i1')!, { status: 'paused', image: { kind: 'disk', generation: 2, savedAt: 1 } });
    expect((await visitor).status).toBe(502);
    expect((await connecting).status).toBe(201);
  });

  test('moves no deadline when the pause was called off', async () => {
    const { endAt } = world.add('i1', { status: 'pausing' }, { autoResume: true });
    const held = at('/');
    await delay(60);
    world.views.get('i1')!.status = 'running';
    expect((await held).status).toBe(200);
    expect(world.views.get('i1')!.endAt).toBe(endAt);
  });

  test('whose client goes away is not passed on', async () => {
    let goOn = false;
    world.waitsFor.set('resume', () => goOn);
    const stop = new AbortController();
    const held = at('/', { method: 'POST', body: 'late', signal: stop.signal });
    const gone = expect(held).rejects.toThrow();
    await expect.poll(() => world.countOf('resume'), { interval: 5 }).toBe(1);
    stop.abort();
    await gone;
    goOn = true;
    expect((await at('/', { method: 'POST', body: 'next' })).status).toBe(200);
    expect([bodies, world.countOf('resume')]).toEqual([['next'], 1]);
  });

  test.each([
    ['InsufficientCapacity', 429],
    ['Unavailable', 503],
    ['ImageDamaged', 500],
    ['OutcomeUnknown', 504],
    ['Superseded', 409],
  ] as [ErrorCode, number][])('is told so when it cannot be woken: %s is a %i', async (code, status) => {
    world.failNext.set('resume', code);
    const response = await at('/', { method: 'POST', body: 'x' });
    expect([response.status, await response.json()]).toEqual([
      status,
      { sandboxId: 'i1', message: expect.stringContaining('did not reach it'), code: status },
    ]);
    expect(bodies).toEqual([]);
  });

  test('does not make the service try again and again what has just failed', async () => {
    world.failNext.set('resume', 'ImageDamaged');
    for (let i = 0; i < 20; i += 1) expect((await at('/')).status).toBe(500);
    expect(world.countOf('resume')).toBe(1);
    expect((await world.api('POST', '/v2/sandboxes/i1/connect', {})).status).toBe(201);
    expect((await at('/')).status).toBe(200);
  });

  test('is told so when waking takes longer than it can be held; the waking goes on', async () => {
    const slow = new FakeWorld();
    let told = false;
    slow.holdMs = 100;
    slow.waitsFor.set('resume', () => told);
    await slow.start();
    slow.add('i1', { status: 'paused' }, { autoResume: true });
    const response = await fetch(slow.proxyUrl, { headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '8080' } });
    expect([response.status, response.headers.get('retry-after')]).toEqual([504, '5']);
    expect(await response.json()).toEqual({ sandboxId: 'i1', message: expect.any(String), code: 504 });
    told = true;
    await expect.poll(() => slow.views.get('i1')?.status).toBe('running');
    await slow.stop();
  });

  test('answers the 502 when it has meanwhile ended', async () => {
    world.failNext.set('resume', 'BeingKilled');
    const response = await at('/');
    expect([response.status, await response.json()]).toEqual([502, NOT_FOUND]);
  });
});

describe('a sandbox whose disk alone was kept', () => {
  test('is not booted by traffic, whatever it shows', async () => {
    const image = { kind: 'disk' as const, generation: 1, savedAt: 1 };
    world.add('i1', { status: 'paused', image }, { autoResume: true });
    const response = await at('/', { headers: { 'x-access-token': TOKEN } });
    expect([response.status, await response.json()]).toEqual([502, NOT_FOUND]);
    expect(world.calls).toEqual([]);
  });
});

describe('a sandbox without autoResume', () => {
  test('is never woken by traffic, whatever it shows', async () => {
    world.add('i1', { status: 'paused' });
    for (const [path, port] of [['/', 8080] as const, ['/files?path=a', 49_983] as const]) {
      const response = await at(path, { headers: { 'x-access-token': TOKEN } }, port);
      expect([response.status, await response.json()]).toEqual([502, NOT_FOUND]);
      expect([...response.headers.keys()].filter((name) => name.startsWith('x-dormouse'))).toEqual([]);
    }
    expect(world.calls).toEqual([]);
  });
});

describe('authorisation comes before waking', () => {
  const now = Math.floor(Date.now() / 1000);
  const signed = (expiration: number, token = TOKEN): string => {
    const file = { path: '/a', operation: 'read', user: 'user', expiration: String(expiration) } as const;
    const query = { path: '/a', username: 'user', signature: signFile(file, token) };
    return `/files?${new URLSearchParams({ ...query, signature_expiration: String(expiration) })}`;
  };

  test.each([
    ['no token at the agent', '/process.Process/List', {}],
    ['a wrong token', '/process.Process/List', { 'x-access-token': 'i1.wrong' }],
    ['the token of another sandbox', '/files?path=a', { 'x-access-token': accessToken(TOKENS_KEY, { id: 'i2' }) }],
    ['the traffic token', '/files?path=a', { 'x-access-token': trafficToken(TOKENS_KEY, { id: 'i1' }) }],
    ['a wrong signature', signed(now + 600, 'other'), {}],
    ['a right signature beside a wrong token', signed(now + 600), { 'x-access-token': 'i1.wrong' }],
    ['health, as is_running asks it', '/health', { 'x-access-token': TOKEN }],
    ['metrics', '/metrics', { 'x-access-token': TOKEN }],
  ])('%s never wakes it, and answers the exact 502', async (_name, path, headers) => {
    const response = await at(path, { headers: headers as unknown as Record<string, string> }, 49_983);
    expect([response.status, await response.json()]).toEqual([502, NOT_FOUND]);
    expect(world.calls).toEqual([]);
  });

  test('a right signature that has ended never wakes it, and is told so', async () => {
    const response = await at(signed(now - 5), {}, 49_983);
    expect([response.status, await response.text()]).toEqual([
      401,
      '{"code":401,"message":"signature is already expired"}',
    ]);
    expect(world.calls).toEqual([]);
  });

  test.each([
    ['the access token', '/process.Process/List', { 'x-access-token': TOKEN }],
    ['a signature that has not ended', signed(now + 600), {}],
  ])('%s wakes it', async (_name, path, headers) => {
    expect((await at(path, { headers: headers as unknown as Record<string, string> }, 49_983)).status).toBe(200);
    expect(world.countOf('resume')).toBe(1);
  });

  test('a signed address alone wakes the sandbox whose token made it', async () => {
    expect((await fetch(world.proxyUrl + signed(now + 600))).status).toBe(200);
    expect(world.countOf('resume')).toBe(1);
  });

  test('without public traffic only the traffic token wakes it', async () => {
    world.add('i1', { status: 'paused' }, { autoResume: true, allowPublicTraffic: false });
    for (const shown of [{}, { 'E2B-Traffic-Access-Token': TOKEN }]) {
      expect((await at('/', { headers: shown as Record<string, string> })).status).toBe(403);
    }
    expect(world.calls).toEqual([]);
    expect(
      (await at('/', { headers: { 'E2B-Traffic-Access-Token': trafficToken(TOKENS_KEY, { id: 'i1' }) } })).status,
    ).toBe(200);
  });
});

test('a guest cannot pass for a gateway that says its sandbox sleeps', async () => {
  const liar = await world.serveGuest((_request, response) => response.setHeader('x-dormouse-asleep', 'yes').end('ha'));
  world.guestPorts.set(8080, (liar.address() as { port: number }).port);
  world.views.get('i1')!.status = 'running';
  const response = await at('/');
  expect([response.status, await response.text(), response.headers.get('x-dormouse-asleep')]).toEqual([
    200,
    'ha',
    null,
  ]);
  expect(world.calls).toEqual([]);
});

test('a client that asks for leave to send its body gets it, and the body arrives', async () => {
  const headers = { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '8080', expect: '100-continue' };
  const status = await new Promise((resolve) => {
    const outgoing = request(world.proxyUrl, { method: 'POST', headers: { ...headers, 'content-length': 4 } });
    outgoing.once('continue', () => outgoing.end('body')).once('response', (answer) => resolve(answer.statusCode));
    outgoing.flushHeaders();
  });
  expect([status, bodies]).toEqual([200, ['body']]);
});
