import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createApiServer } from '../../src/api/api-server.js';
import { CONTROL_REQUEST_MS } from '../../src/proxy/control.js';
import { FakeWorld } from '../api/fake-world.js';

/** Raw bytes to the proxy, the gateway and the api: how long a connection lives, and who gets its requests. */
let world: FakeWorld;
let upgraded: Socket[];
let arrived: { line: string; body: string; headers: string }[];
beforeEach(async () => {
  world = await new FakeWorld().start();
  arrived = [];
  upgraded = [];
  world.gateway.on('upgrade', (_request: IncomingMessage, socket: Socket) => void upgraded.push(socket));
  world.add('i1');
  await serve();
});
afterEach(() => world.stop());

async function serve(): Promise<void> {
  await world.serveGuest((request, response) => {
    void text(request).then((body) => {
      const headers = request.rawHeaders.join(' ').toLowerCase();
      arrived.push({ line: `${request.method} ${request.url}`, body, headers });
      response.end('ok');
    });
  });
  world.guestPorts.set(8080, world.guest.port);
}

const portOf = (url: string): number => Number(new URL(url).port);

/** Sends one byte after the other, and never ends its side. @returns everything that came when the connection is gone. */
async function untilClosed(port: number, bytes: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  let said = '';
  socket.on('data', (chunk) => (said += chunk.toString()));
  socket.write(bytes);
  const more = setInterval(() => socket.write('x'), 50);
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(more);
  return said;
}

async function firstAnswer(port: number, bytes: string): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1');
  let said = '';
  socket.on('error', () => undefined).on('data', (chunk) => (said += chunk.toString()));
  socket.write(bytes);
  await expect.poll(() => said).toMatch(/\r\n\r\n[^]/);
  socket.destroy();
  return said;
}

describe('an answer to a request whose body never comes closes the connection', () => {
  const body = 'Content-Length: 100000\r\n\r\nx';
  test.each([
    ['a sandbox that is not there', 'POST / HTTP/1.1\r\nHost: 8080-gone.x.y', 502],
    ['no sandbox', 'POST / HTTP/1.1\r\nHost: x.y', 400],
    ['a preflight', 'OPTIONS / HTTP/1.1\r\nHost: x.y\r\nAccess-Control-Request-Method: GET', 204],
    ['an internal route', 'POST /init HTTP/1.1\r\nHost: 49983-i1.x.y', 404],
    ['the control plane without a key', 'POST /sandboxes HTTP/1.1\r\nHost: api.sbx.test', 401],
  ])('at the proxy: %s', async (_name, head, status) => {
    const said = await untilClosed(world.proxyPort, `${head}\r\n${body}`);
    expect(said).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close\r\n`, 'i'));
  });

  test('at the api', async () => {
    const said = await untilClosed(portOf(world.apiUrl), `POST /sandboxes HTTP/1.1\r\nHost: x\r\n${body}`);
    expect(said).toMatch(/^HTTP\/1\.1 401 [^]*connection: close\r\n/i);
  });

  test('at the gateway', async () => {
    const said = await untilClosed(portOf(world.gatewayUrl), `POST / HTTP/1.1\r\nHost: x\r\n${body}`);
    expect(said).toMatch(/^HTTP\/1\.1 401 [^]*connection: close\r\n/i);
  });
});

test('a request that was read whole keeps its connection, also when it is refused', async () => {
  const said = await firstAnswer(world.proxyPort, 'GET / HTTP/1.1\r\nHost: 8080-gone.x.y\r\n\r\n');
  expect(said).toMatch(/^HTTP\/1\.1 502 [^]*connection: keep-alive\r\n/i);
});

describe('an offer of another protocol than WebSocket is not taken, and the request served', () => {
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
  const post = (host: string, path = '/a'): string =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${offer}Content-Length: 5\r\n\r\nhello`;

  test('through proxy and gateway, with its body', async () => {
    expect(await firstAnswer(world.proxyPort, post('8080-i1.x.y'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(arrived.map(({ line, body }) => [line, body])).toEqual([['POST /a', 'hello']]);
    expect(arrived[0]?.headers).not.toContain('h2c');
  });

  test('at the gateway alone', async () => {
    const routing = `x-dormouse-gateway-token: ${'ab'.repeat(32)}\r\nx-dormouse-sandbox: i1\r\nx-dormouse-port: 8080`;
    const bytes = post(`x\r\n${routing}`);
    expect(await firstAnswer(portOf(world.gatewayUrl), bytes)).toMatch(/^HTTP\/1\.1 200 /);
    expect(arrived.map(({ body }) => body)).toEqual(['hello']);
  });

  test('by the control plane, on its own port and on the one of the data plane', async () => {
    for (const port of [portOf(world.apiUrl), world.proxyPort]) {
      const get = `GET /health HTTP/1.1\r\nHost: api.sbx.test\r\n${offer}\r\n`;
      expect(await firstAnswer(port, get)).toMatch(/^HTTP\/1\.1 200 [^]*{"status":"ok"}$/);
      const create = `POST /sandboxes HTTP/1.1\r\nHost: api.sbx.test\r\nX-API-Key: key-a\r\n${offer}`;
      const spec = '{"templateID":"base"}';
      const bytes = `${create}Content-Length: ${spec.length}\r\n\r\n${spec}`;
      expect(await firstAnswer(port, bytes)).toMatch(/^HTTP\/1\.1 201 /);
    }
  });

  test.each(['POST / HTTP/1.1\r\nContent-Length: 5', 'GET / HTTP/1.1\r\nContent-Length: 5'])(
    'nor is that of a WebSocket with a body: %s',
    async (start) => {
      const head = `${start}\r\nHost: 8080-i1.x.y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello`;
      expect(await firstAnswer(world.proxyPort, head)).toMatch(/^HTTP\/1\.1 200 /);
      expect(arrived.map(({ body }) => body)).toEqual(['hello']);
    },
  );

  test('a WebSocket to the control plane is answered as any request', async () => {
    const head = 'Host: api.sbx.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const said = await untilClosed(world.proxyPort, `GET /health HTTP/1.1\r\n${head}`);
    expect(said).toMatch(/^HTTP\/1\.1 200 [^]*connection: close[^]*{"status":"ok"}$/i);
  });
});

test('a connection of an upgrade that is reset while its port is dialled ends nothing else', async () => {
  world.dialling = new Promise(() => undefined);
  const routing = `x-dormouse-gateway-token: ${'ab'.repeat(32)}\r\nx-dormouse-sandbox: i1\r\nx-dormouse-port: 8080`;
  const socket = connect(portOf(world.gatewayUrl), '127.0.0.1');
  socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${routing}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  await expect.poll(() => world.dials).toBe(1);
  const closed = new Promise((resolve) => upgraded[0]!.once('close', resolve));
  socket.resetAndDestroy();
  await closed;
  world.dialling = Promise.resolve();
  expect(await firstAnswer(world.proxyPort, 'GET / HTTP/1.1\r\nHost: 8080-i1.x.y\r\n\r\n')).toMatch(/ 200 /);
});

test('a request that is held keeps no connection to the gateway while its sandbox wakes', async () => {
  world.add('i1', { status: 'paused' }, { autoResume: true });
  let goOn = false;
  world.waitsFor.set('resume', () => goOn);
  const toGateway = new Set<Socket>();
  world.gateway.on('request', (request: IncomingMessage) => {
    if (request.method !== 'POST') return;
    toGateway.add(request.socket);
    request.socket.once('close', () => toGateway.delete(request.socket));
  });
  let seen = 0;
  world.gateway.on('checkContinue', (request: IncomingMessage) => {
    seen += 1;
    toGateway.add(request.socket);
    request.socket.once('close', () => toGateway.delete(request.socket));
  });
  const held = firstAnswer(world.proxyPort, `POST /held HTTP/1.1\r\nHost: 8080-i1.x.y\r\nContent-Length: 2\r\n\r\nok`);
  await expect.poll(() => seen).toBe(1);
  await expect.poll(() => toGateway.size, { interval: 5 }).toBe(0);
  expect(world.views.get('i1')?.status).toBe('paused');
  goOn = true;
  expect(await held).toMatch(/^HTTP\/1\.1 200 /);
  expect(arrived.map(({ line, body }) => [line, body])).toEqual([['POST /held', 'ok']]);
});

test('a client that goes away ends all its requests, also those that wait for the answer to another', async () => {
  world.add('i2', {}, { autoResume: true });
  // No answer comes before the client goes.
  await world.serveGuest(() => undefined);
  world.guestPorts.set(8080, world.guest.port);
  const one = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: 8080-i2.x.y\r\nContent-Length: 1\r\n\r\nx`;
  const socket = connect(world.proxyPort, '127.0.0.1');
  socket.write(['/1', '/2', '/3'].map(one).join(''));
  await expect.poll(() => world.activity.openTo('i2')).toBe(3);
  socket.destroy();
  await expect.poll(() => world.activity.openTo('i2')).toBe(0);
});

test('nothing is passed on for a client that went away while its sandbox was looked for', async () => {
  world.add('i2', {}, { autoResume: true });
  const passed: string[] = [];
  for (const event of ['request', 'checkContinue']) {
    world.gateway.on(event, ({ url = '' }: IncomingMessage) => void passed.push(url));
  }
  let found: () => void = () => undefined;
  const locate = world.directory.locate.bind(world.directory);
  world.directory.locate = async (...asked) => {
    await new Promise<void>((resolve) => (found = resolve));
    return locate(...asked);
  };
  let state = 'on its way';
  world.proxy.once('request', (_request, response) => {
    state = 'looked for';
    response.once('close', () => (state = 'gone'));
  });
  const post = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: 8080-i2.x.y\r\nContent-Length: 5\r\n\r\n`;
  const socket = connect(world.proxyPort, '127.0.0.1');
  socket.write(post('/gone'));
  await expect.poll(() => state).toBe('looked for');
  socket.destroy();
  await expect.poll(() => state).toBe('gone');
  world.directory.locate = locate;
  found();
  expect(await firstAnswer(world.proxyPort, `${post('/next')}hello`)).toMatch(/^HTTP\/1\.1 200 /);
  await expect.poll(() => world.activity.openTo('i2')).toBe(0);
  expect(passed.filter((path) => path === '/gone' || path === '/next')).toEqual(['/next']);
});

describe('a request to the control plane whose body does not come in time', () => {
  const create = 'POST /sandboxes HTTP/1.1\r\nX-API-Key: key-a\r\nContent-Length: 100000\r\n';
  beforeEach(async () => {
    await world.stop();
    world.requestMs = 200;
    await world.start();
    await serve();
  });

  test.each(['its own port', 'the port of the data plane'])(
    'is refused, and its connection closed, on %s',
    async (port) => {
      const said = await untilClosed(
        port === 'its own port' ? portOf(world.apiUrl) : world.proxyPort,
        `${create}Host: api.sbx.test\r\n\r\n{`,
      );
      expect(said).toMatch(/^HTTP\/1\.1 408 [^]*connection: close\r\n[^]*the request did not come in time/i);
      expect(world.countOf('create')).toBe(0);
    },
  );

  test('is late after a minute', () => {
    expect([CONTROL_REQUEST_MS, createApiServer(() => undefined).requestTimeout]).toEqual([60_000, 60_000]);
  });

  test('has no bearing on a request to a sandbox, which may take as long as it likes', async () => {
    const socket = connect(world.proxyPort, '127.0.0.1');
    let said = '';
    socket.on('data', (chunk) => (said += chunk.toString()));
    socket.write('POST /slow HTTP/1.1\r\nHost: 8080-i1.x.y\r\nContent-Length: 5\r\n\r\nhe');
    await expect.poll(() => world.activity.openTo('i1')).toBe(1);
    expect(await untilClosed(world.proxyPort, `${create}Host: api.sbx.test\r\n\r\n{`)).toMatch(/ 408 /);
    socket.write('llo');
    await expect.poll(() => said).toMatch(/^HTTP\/1\.1 200 /);
    expect(arrived.map(({ body }) => body)).toEqual(['hello']);
    socket.destroy();
  });
});
