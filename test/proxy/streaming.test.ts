import { createHash, randomBytes } from 'node:crypto';
import { createServer, request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { accessToken } from '../../src/keys/access-token.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

let world: FakeWorld;
beforeEach(async () => {
  world = await new FakeWorld().start();
  world.add('i1');
});
afterEach(() => world.stop());

const AGENT = {
  ...{ 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983' },
  'X-Access-Token': accessToken(TOKENS_KEY, { id: 'i1' }),
};

describe('streams', () => {
  test('pass piece by piece, the head of the answer before its first byte', async () => {
    let push: (text: string) => void = () => undefined;
    await world.serveGuest((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      push = (text) => void response.write(text);
    });
    const response = await fetch(world.proxyUrl, { headers: AGENT });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = response.body!.getReader();
    for (const text of ['one', 'two']) {
      push(text);
      expect(Buffer.from((await reader.read()).value!).toString()).toBe(text);
    }
    await reader.cancel();
  });

  test('pass both ways at once: the answer begins while the body is still being sent', async () => {
    await world.serveGuest((incoming, response) => incoming.pipe(response));
    const outgoing = request(world.proxyUrl, { method: 'POST', headers: AGENT });
    outgoing.write('first');
    const response = await new Promise<IncomingMessage>((resolve) => outgoing.on('response', resolve));
    const pieces = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    expect(String((await pieces.next()).value)).toBe('first');
    outgoing.write('second');
    expect(String((await pieces.next()).value)).toBe('second');
    outgoing.end();
    expect((await pieces.next()).done).toBe(true);
  });

  test('a hundred at a time keep their bytes to themselves', async () => {
    await world.serveGuest((incoming, response) => incoming.pipe(response));
    const one = async (size: number): Promise<boolean> => {
      const body = randomBytes(size);
      const response = await fetch(world.proxyUrl, { method: 'POST', headers: AGENT, body });
      return Buffer.from(await response.arrayBuffer()).equals(body);
    };
    const whole = await Promise.all(Array.from({ length: 100 }, (_, i) => one(1 + i * 2_500)));
    expect(whole.every(Boolean)).toBe(true);
  });

  test('a large download waits for a slow client instead of filling memory', async () => {
    let sent = 0;
    await world.serveGuest((_request, response) => {
      const piece = Buffer.alloc(1 << 20);
      const more = (): void => {
        while (sent < 200 && response.write(piece)) sent += 1;
        if (sent < 200) {
          sent += 1;
          response.once('drain', more);
        } else response.end();
      };
      more();
    });
    const response = await new Promise<IncomingMessage>((resolve) =>
      request(world.proxyUrl, { headers: AGENT }, resolve).end(),
    );
    response.pause();
    await delay(500);
    expect(sent).toBeLessThan(60);
    let bytes = 0;
    for await (const chunk of response) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(200 << 20);
  });

  test('a client that goes away ends the request at the guest', async () => {
    let closed: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => (closed = resolve));
    await world.serveGuest((_request, response) => {
      response.on('close', closed);
      response.write('x');
    });
    const stop = new AbortController();
    const response = await fetch(world.proxyUrl, { headers: AGENT, signal: stop.signal });
    await response.body!.getReader().read();
    stop.abort();
    await gone;
  });

  test('a client that goes away before the answer ends the request at the guest, too', async () => {
    let closed: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => (closed = resolve));
    await world.serveGuest((_request, response) => void response.on('close', closed));
    const stop = new AbortController();
    const answer = fetch(world.proxyUrl, { headers: AGENT, signal: stop.signal });
    await delay(80);
    stop.abort();
    await expect(answer).rejects.toThrow();
    await gone;
  });

  test('an answer that breaks off at the guest breaks off at the client', async () => {
    await world.serveGuest((_request, response) => {
      response.write('half');
      setTimeout(() => response.destroy(), 30);
    });
    const response = await fetch(world.proxyUrl, { headers: AGENT });
    await expect(response.text()).rejects.toThrow();
  });

  test('an early refusal of a large upload arrives, and the next request is served', async () => {
    world.add('i2', { status: 'paused' });
    await world.serveGuest((_request, response) => void response.end('ok'));
    const upload = await fetch(world.proxyUrl, {
      method: 'POST',
      headers: { ...AGENT, 'E2b-Sandbox-Id': 'i2' },
      body: Buffer.alloc(8 << 20),
    });
    expect(upload.status).toBe(502);
    await upload.text();
    expect(await (await fetch(world.proxyUrl, { headers: AGENT })).text()).toBe('ok');
  });

  test('repeated headers, odd statuses and bodies without length pass unchanged', async () => {
    await world.serveGuest((incoming, response) => {
      response.writeHead(507, 'No Room', [
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'X-Got',
        incoming.headers['x-a'] as string,
      ]);
      response.end(incoming.headers['content-length'] ?? incoming.headers['transfer-encoding'] ?? 'none');
    });
    // The agent's own port lets no cookie through.
    world.guestPorts.set(8080, world.guest.port);
    const headers = { ...AGENT, 'E2b-Sandbox-Port': '8080', 'x-a': 'y' };
    const response = await fetch(world.proxyUrl, { method: 'POST', headers });
    expect([response.status, response.statusText, response.headers.get('x-got')]).toEqual([507, 'No Room', 'y']);
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await response.text()).toBe('0');
  });

  test('HEAD, 204 and 304 have no body and leave the connection good', async () => {
    await world.serveGuest((incoming, response) => {
      if (incoming.method === 'HEAD') response.writeHead(200, { 'content-length': '5' }).end();
      else response.writeHead(incoming.url === '/304' ? 304 : 204).end();
    });
    const head = await fetch(world.proxyUrl, { method: 'HEAD', headers: AGENT });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '5']);
    expect((await fetch(`${world.proxyUrl}/304`, { headers: AGENT })).status).toBe(304);
    expect((await fetch(world.proxyUrl, { headers: AGENT })).status).toBe(204);
  });
});

describe('WebSockets', () => {
  async function serveEcho(): Promise<WebSocketServer> {
    const server = createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => socket.on('message', (message, binary) => socket.send(message, { binary })));
    world.guestPorts.set(8080, Number(new URL(await world.listen(server)).port));
    return sockets;
  }
  const open = async (): Promise<WebSocket> => {
    const headers = { host: '8080-i1.sbx.test' };
    const socket = new WebSocket(`ws://127.0.0.1:${world.proxyPort}/live`, { headers });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return socket;
  };

  test('pass both ways, large messages whole', async () => {
    await serveEcho();
    const socket = await open();
    const message = randomBytes(3 << 20);
    const back = new Promise<Buffer>((resolve) => socket.once('message', (data) => resolve(data as Buffer)));
    socket.send(message);
    const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    expect(digest(await back)).toBe(digest(message));
    socket.terminate();
  });

  test('end at one side when they end at the other', async () => {
    const server = await serveEcho();
    const atGuest = new Promise<number>((resolve) =>
      server.once('connection', (socket) => socket.once('close', resolve)),
    );
    const socket = await open();
    socket.terminate();
    expect(await atGuest).toBe(1006);

    const second = await open();
    const atClient = new Promise<number>((resolve) => second.once('close', resolve));
    for (const client of server.clients) client.terminate();
    expect(await atClient).toBe(1006);
  });

  test('count as activity and are cut by a pause', async () => {
    await serveEcho();
    const socket = await open();
    const touched = vi.spyOn(world.activity, 'touch');
    const back = new Promise((resolve) => socket.once('message', resolve));
    socket.send('x');
    await back;
    expect(touched).toHaveBeenCalledWith('i1');
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    world.activity.cutStreams('i1');
    expect(await closed).toBe(1006);
  });

  test('are refused with the same JSON where there is no sandbox or no port', async () => {
    const refusal = (host: string): Promise<[number | undefined, string]> =>
      new Promise((resolve) => {
        const socket = new WebSocket(`ws://127.0.0.1:${world.proxyPort}/`, { headers: { host } });
        socket.on('error', () => undefined);
        socket.once('unexpected-response', (_request, response: IncomingMessage) => {
          let text = '';
          response.on('data', (chunk) => (text += String(chunk))).on('end', () => resolve([response.statusCode, text]));
        });
      });
    expect(await refusal('8080-gone.x.y')).toEqual([502, expect.stringContaining('was not found')]);
    expect(await refusal('8081-i1.x.y')).toEqual([502, expect.stringContaining('port is not open')]);
  });

  test('an answer that is no upgrade passes as it is', async () => {
    const server = createServer();
    server.on('upgrade', (_request, socket: Socket) =>
      socket.end('HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 2\r\n\r\nno'),
    );
    world.guestPorts.set(8080, Number(new URL(await world.listen(server)).port));
    const text = await new Promise<string>((resolve) => {
      const socket = connect(world.proxyPort, '127.0.0.1');
      let all = '';
      socket.on('data', (chunk) => (all += String(chunk))).on('end', () => resolve(all));
      socket.write('GET / HTTP/1.1\r\nHost: 8080-i1.x.y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    expect(text).toMatch(/^HTTP\/1.1 403 Forbidden\r\n/);
    expect(text).toContain('X-Why: no');
    expect(text.endsWith('\r\n\r\nno')).toBe(true);
  });
});
