import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

/** Everything goes the whole way: proxy, gateway, a real server in place of the guest. */
let world: FakeWorld;
beforeEach(async () => {
  world = await new FakeWorld().start();
  world.add('i1');
});
afterEach(() => world.stop());

const NOT_FOUND = { sandboxId: 'i1', message: 'The sandbox was not found', code: 502 };
const AT_AGENT = { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983' };

const at = (path: string, init: RequestInit = {}, port = 49_983): Promise<Response> =>
  fetch(world.proxyUrl + path, {
    ...init,
    headers: {
      ...{ 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': String(port) },
      ...(port === 49_983 ? world.access('i1') : {}),
      ...(init.headers as object),
    },
  });

/** Lets the sandbox seem idle for a while, so that a touch shows. */
const idle = async (): Promise<number> => {
  await delay(60);
  return world.activity.idleForMs('i1');
};

/** Whether what is done moves the clock, so that its time is counted from then. */
async function moves(work: () => Promise<unknown>): Promise<boolean> {
  const touched = vi.spyOn(world.activity, 'touch');
  await work();
  const ids = touched.mock.calls.map(([id]) => id);
  touched.mockRestore();
  return ids.includes('i1');
}

function unchunked(body: string): string {
  let text = '';
  for (let at = 0; at < body.length;) {
    const from = body.indexOf('\r\n', at) + 2;
    const length = parseInt(body.slice(at, from), 16);
    text += body.slice(from, from + length);
    at = from + length + 2;
  }
  return text;
}

const keepalive = Buffer.concat([Buffer.from([0, 0, 0, 0, 26]), Buffer.from('{"event":{"keepalive":{}}}')]);
const data = Buffer.concat([Buffer.from([0, 0, 0, 0, 21]), Buffer.from('{"event":{"data":{}}}')]);

describe('the clock of last activity', () => {
  test('is not moved by health and metrics, however often they are asked', async () => {
    await world.serveGuest((_request, response) => void response.writeHead(204).end());
    await at('/files', { method: 'POST' });
    const before = await idle();
    for (const path of ['/health', '/metrics', '/health?x=1']) expect((await at(path)).status).toBe(204);
    expect(world.activity.idleForMs('i1')).toBeGreaterThanOrEqual(before);
  });

  test('is moved by any other request, and by a path like /health on another port', async () => {
    const guest = await world.serveGuest((_request, response) => void response.end('x'));
    world.guestPorts.set(8080, (guest.address() as { port: number }).port);
    await idle();
    expect(await moves(() => at('/files'))).toBe(true);
    await idle();
    expect(await moves(() => at('/health', {}, 8080))).toBe(true);
  });

  test('is moved by what a command prints, not by the keepalives of its stream', async () => {
    let push: (bytes: Buffer) => void = () => undefined;
    await world.serveGuest((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/connect+json' });
      push = (bytes) => void response.write(bytes);
      response.write(data);
    });
    const stream = (await at('/process.Process/Start', { method: 'POST', body: '{}' })).body!.getReader();
    await stream.read();
    const before = await idle();
    push(keepalive);
    await stream.read();
    expect(world.activity.idleForMs('i1')).toBeGreaterThanOrEqual(before);
    const printed = async (): Promise<void> => {
      push(data);
      await stream.read();
    };
    expect(await moves(printed)).toBe(true);
    await stream.cancel();
  });

  test('is moved by every piece of an upload and of a download', async () => {
    let arrived = 0;
    let finish: () => void = () => undefined;
    await world.serveGuest((request, response) => {
      request
        .on('data', () => (arrived += 1))
        .on('end', () => {
          response.write('a');
          finish = () => void response.end('b');
        });
    });
    const upload = httpRequest(`${world.proxyUrl}/files`, {
      method: 'POST',
      headers: { 'e2b-sandbox-id': 'i1', 'e2b-sandbox-port': '49983', ...world.access('i1') },
    });
    const send = async (piece: string): Promise<void> => {
      const before = arrived;
      upload.write(piece);
      await expect.poll(() => arrived, { interval: 5 }).toBeGreaterThan(before);
    };
    await send('1');
    await idle();
    expect(await moves(() => send('2'))).toBe(true);
    const response = await new Promise<IncomingMessage>((resolve) => upload.on('response', resolve).end());
    await once(response, 'data');
    await idle();
    const end = async (): Promise<void> => {
      finish();
      await once(response.resume(), 'end');
    };
    expect(await moves(end)).toBe(true);
  });
});

describe('whoever shows nothing that opens the agent', () => {
  const anyone = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(world.proxyUrl + path, { ...init, headers: { ...AT_AGENT, ...(init.headers as object) } });
  const signed = (expiration: number | undefined): string => {
    const file = { path: '/a', operation: 'read', user: '', expiration: expiration?.toString() } as const;
    const query = new URLSearchParams({ path: '/a', signature: signFile(file, accessToken(TOKENS_KEY, { id: 'i1' })) });
    if (expiration !== undefined) query.set('signature_expiration', String(expiration));
    return `/files?${query}`;
  };
  const now = Math.floor(Date.now() / 1000);
  let seen: string[];
  let shown: unknown;
  beforeEach(async () => {
    seen = [];
    await world.serveGuest((request, response) => {
      seen.push(request.url ?? '');
      shown = request.headers['x-access-token'];
      response.end('x');
    });
  });

  test.each([
    ['no token', '/files?path=/a', {}, 'the access token is missing'],
    ['an empty token', '/files?path=/a', { 'x-access-token': '' }, 'the access token is missing'],
    ['a wrong token', '/metrics', { 'x-access-token': 'i1.x' }, 'the access token is wrong'],
    [
      'the token of another',
      '/x',
      { 'x-access-token': accessToken(TOKENS_KEY, { id: 'i2' }) },
      'the access token is wrong',
    ],
    ['a wrong signature', '/files?path=/a&signature=v1_x', {}, 'the signature is wrong'],
    ['a signature that has ended', signed(now - 10), {}, 'signature is already expired'],
    ['a signature beside a wrong token', signed(undefined), { 'x-access-token': 'no' }, 'the access token is wrong'],
    ['a signature for another route', signed(undefined).replace('files', 'envs'), {}, 'the access token is missing'],
  ])('but %s is refused before the guest, in its words, and is no activity', async (_name, path, headers, message) => {
    const before = await idle();
    const answer = await anyone(path, { headers: headers as Record<string, string> });
    expect([answer.status, await answer.json()]).toEqual([401, { code: 401, message }]);
    expect([seen, world.activity.idleForMs('i1') >= before]).toEqual([[], true]);
  });

  test('gets the error of a Connect call, or of a stream, as the agent gives it', async () => {
    const post = (type: string): Promise<Response> =>
      anyone('/process.Process/Start', { method: 'POST', body: '{}', headers: { 'content-type': type } });
    const unary = await post('application/json');
    const error = { code: 'unauthenticated', message: 'the access token is missing' };
    expect([unary.status, await unary.json()]).toEqual([401, error]);
    const stream = await post('application/connect+json');
    expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'application/connect+json']);
    const frame = Buffer.from(await stream.arrayBuffer());
    expect([frame[0], JSON.parse(frame.toString('utf8', 5))]).toEqual([2, { error }]);
    expect(seen).toEqual([]);
  });

  test('is refused without a byte of the body taken, and counts as no connection', async () => {
    const upload = httpRequest(`${world.proxyUrl}/process.Process/SendInput`, { method: 'POST', headers: AT_AGENT });
    upload.on('error', () => undefined).write('begun');
    const [answer] = (await once(upload, 'response')) as [IncomingMessage];
    expect([answer.statusCode, world.activity.openTo('i1'), seen]).toEqual([401, 0, []]);
    upload.destroy();
  });

  test('may ask for its health', async () => {
    expect((await anyone('/health')).status).toBe(200);
  });

  test.each([undefined, now + 1_000])('passes with a valid signature (end: %s), which is activity', async (end) => {
    await idle();
    expect(await moves(() => anyone(signed(end)))).toBe(true);
    // The agent is not asked about the signature: it has no clock but the guest's.
    expect([seen, shown]).toEqual([['/files?path=%2Fa'], accessToken(TOKENS_KEY, { id: 'i1' })]);
  });
});

test('a signature for one file opens no other, however the address is written', async () => {
  const paths: (string | null)[] = [];
  await world.serveGuest((request, response) => {
    paths.push(new URLSearchParams(request.url?.split('?')[1]).get('path'));
    response.end();
  });
  const signatureOf = (path: string): string =>
    encodeURIComponent(
      signFile({ path, operation: 'read', user: '', expiration: undefined }, accessToken(TOKENS_KEY, { id: 'i1' })),
    );
  const raw = async (path: string): Promise<void> => {
    const { hostname, port } = new URL(world.proxyUrl);
    const asked = httpRequest({ hostname, port, path, headers: AT_AGENT }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    await once(answer.resume(), 'end');
  };
  for (const [signed, path] of [
    ['/a', '/a#/../secret'],
    ['/a', '/a&path=/secret'],
    ['/a?/../secret', '/a?/../secret'],
    ['/a', '/a%23/../secret'],
    ['/a', '/a%3F/../secret'],
  ] as const) {
    for (const target of [
      `/files?signature=${signatureOf(signed)}&path=${path}`,
      `/files?path=${path}&signature=${signatureOf(signed)}`,
      `/x/../files?signature=${signatureOf(signed)}&path=${path}`,
    ])
      await raw(target);
    // Most of them are refused, and what is not is the file that was signed.
    expect(paths.splice(0).filter((opened) => opened !== signed)).toEqual([]);
  }
});

describe('a request to a public port', () => {
  test('that is closed is no activity', async () => {
    const before = await idle();
    expect((await at('/', {}, 8080)).status).toBe(502);
    expect(world.activity.idleForMs('i1')).toBeGreaterThanOrEqual(before);
  });

  test('that comes through while the gate closes does not reach the guest, and can be sent again', async () => {
    let seen = 0;
    const guest = await world.serveGuest((_request, response) => {
      seen += 1;
      response.end();
    });
    world.guestPorts.set(8080, (guest.address() as { port: number }).port);
    let dialled = (): void => undefined;
    world.dialling = new Promise((resolve) => (dialled = resolve));
    const before = await idle();
    const under = at('/', {}, 8080);
    await expect.poll(() => world.dials, { interval: 5 }).toBe(1);
    world.activity.closeGate('i1');
    expect(world.activity.idleForMs('i1')).toBeGreaterThanOrEqual(before);
    dialled();
    const { status, headers } = await under;
    expect([status, headers.get('retry-after'), seen]).toEqual([409, '1', 0]);
  });

  test('whose machine is stopped while it is dialled can be sent again', async () => {
    world.dialling = new Promise(() => undefined);
    const under = at('/', {}, 8080);
    await expect.poll(() => world.activity.openTo('i1'), { interval: 5 }).toBe(1);
    world.activity.closeGate('i1');
    world.activity.cutStreams('i1');
    const { status, headers } = await under;
    expect([status, headers.get('retry-after')]).toEqual([409, '1']);
  });

  test('whose client goes away while it is dialled is over', async () => {
    world.dialling = new Promise(() => undefined);
    const stop = new AbortController();
    const under = at('/', { signal: stop.signal }, 8080).catch(() => undefined);
    await expect.poll(() => world.activity.openTo('i1'), { interval: 5 }).toBe(1);
    stop.abort();
    await under;
    await expect.poll(() => world.activity.openTo('i1'), { interval: 5 }).toBe(0);
  });
});

describe('the gate', () => {
  test('closed, refuses with 409 that can be sent again, and lets running streams go on', async () => {
    const guest: (() => void)[] = [];
    await world.serveGuest((_request, response) => {
      response.write('one');
      guest.push(() => response.end('two'));
    });
    const running = await at('/files');
    world.activity.closeGate('i1');
    const refused = await at('/files');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([409, '1']);
    expect(await refused.json()).toEqual({ sandboxId: 'i1', message: expect.any(String), code: 409 });
    guest[0]!();
    expect(await running.text()).toBe('onetwo');
    world.activity.openGate('i1');
    expect((await at('/files')).status).toBe(200);
    guest[1]!();
  });

  test('a request that came through before it closed has been seen by the clock', async () => {
    let finish: (() => void) | undefined;
    await world.serveGuest((_request, response) => void (finish = () => response.end()));
    await idle();
    let under: Promise<Response> | undefined;
    const comeThrough = async (): Promise<void> => {
      under = at('/files');
      await expect.poll(() => world.activity.openTo('i1'), { interval: 5 }).toBe(1);
      world.activity.closeGate('i1');
    };
    expect(await moves(comeThrough)).toBe(true);
    await expect.poll(() => finish).toBeDefined();
    finish!();
    expect((await under!).status).toBe(200);
  });
});

describe('a pause', () => {
  test('cuts streams in the middle, so that no client takes them for ended', async () => {
    let closed = false;
    await world.serveGuest((_request, response) => {
      response.on('close', () => (closed = true));
      response.write('begun');
    });
    const stream = (await at('/files')).body!.getReader();
    await stream.read();
    world.activity.cutStreams('i1');
    await expect(stream.read()).rejects.toThrow();
    await expect.poll(() => closed).toBe(true);
  });

  /** A Connect stream that has said two messages and the beginning of a third; what it says is read as it comes. */
  async function openStream(
    userAgent: string,
  ): Promise<{ said: () => Buffer; end: Promise<unknown>; atGuest: () => boolean }> {
    let closed = false;
    await world.serveGuest((_request, response) => {
      response.on('close', () => (closed = true));
      response.writeHead(200, { 'content-type': 'application/connect+json' });
      response.write(Buffer.concat([data, data, data.subarray(0, 9)]));
    });
    const headers = { 'user-agent': userAgent };
    const stream = (await at('/process.Process/Start', { method: 'POST', body: '{}', headers })).body!.getReader();
    const pieces: Buffer[] = [];
    const read = async (): Promise<unknown> => {
      for (let next = await stream.read(); !next.done; next = await stream.read()) pieces.push(Buffer.from(next.value));
      return 'ended';
    };
    const end = read().catch((error: Error) => error);
    const said = (): Buffer => Buffer.concat(pieces);
    await expect.poll(() => said().length).toBe(2 * data.length);
    return { said, end, atGuest: () => closed };
  }

  test.each([
    ['killed or paused', true, /killed or reached its end of life/],
    ['rebooted', false, /connection to the sandbox ended/],
  ])(
    'ends a Connect stream with an error between two messages for a client that asks no further: %s',
    async (_why, stops, why) => {
      const { said, end, atGuest } = await openStream('ucloud-agentbox-sdk/1.2.0');
      if (stops) world.activity.announceStop('i1');
      world.activity.cutStreams('i1');
      expect(await end).toBe('ended');
      expect(
        said()
          .subarray(0, 2 * data.length)
          .equals(Buffer.concat([data, data])),
      ).toBe(true);
      const last = said().subarray(2 * data.length);
      expect([last[0], last.readUInt32BE(1)]).toEqual([2, last.length - 5]);
      expect(JSON.parse(last.toString('utf8', 5))).toEqual({
        error: { code: 'unavailable', message: expect.stringMatching(why) },
      });
      await expect.poll(atGuest).toBe(true);
    },
  );

  test('breaks a Connect stream off between two messages for every other client, which then asks for its health', async () => {
    const { said, end, atGuest } = await openStream('connectrpc/0.11.1');
    world.activity.closeGate('i1');
    world.activity.announceStop('i1');
    world.activity.cutStreams('i1');
    expect(await end).toMatchObject({ cause: { code: 'ECONNRESET' } });
    expect(said().equals(Buffer.concat([data, data]))).toBe(true);
    const health = await at('/health');
    expect([health.status, await health.json()]).toEqual([502, NOT_FOUND]);
    await expect.poll(atGuest).toBe(true);
  });

  test('breaks a stream off that its machine takes away before anyone cuts it', async () => {
    let push: (bytes: Buffer) => void = () => undefined;
    let leave: () => void = () => undefined;
    await world.serveGuest((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/connect+json' });
      push = (bytes) => void response.write(bytes);
      leave = () => void response.destroy();
      push(data);
    });
    const stream = (await at('/process.Process/Start', { method: 'POST', body: '{}' })).body!.getReader();
    await stream.read();
    world.activity.announceStop('i1');
    leave();
    await expect(stream.read()).rejects.toThrow();
  });

  test('breaks the stream of a client that is slow to read off between two messages, too', async () => {
    const frames = Buffer.concat(Array.from({ length: 20_000 }, () => data));
    let sent = false;
    await world.serveGuest((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/connect+json' });
      response.write(frames, () => (sent = true));
    });
    // A client of Node's own drops what it has not handed out yet.
    const client = connect(world.proxyPort, '127.0.0.1').on('error', () => undefined);
    const head = Object.entries({ ...AT_AGENT, ...world.access('i1'), host: 'x', 'content-length': '2' });
    const lines = head.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    client.write(`POST /process.Process/Start HTTP/1.1\r\n${lines}\r\n{}`);
    await once(client, 'readable');
    await expect.poll(() => sent).toBe(true);
    world.activity.announceStop('i1');
    world.activity.cutStreams('i1');
    let said = '';
    client.on('data', (piece: Buffer) => (said += piece.toString('latin1')));
    await new Promise((resolve) => client.once('close', resolve));
    const chunks = said.slice(said.indexOf('\r\n\r\n') + 4);
    const text = unchunked(chunks);
    expect([text.length > 0, text.length % data.length, chunks.endsWith('\r\n0\r\n\r\n')]).toEqual([true, 0, false]);
  });

  test.each([
    ['a gate that is closed for a look alone', () => world.activity.closeGate('i1'), 409],
    ['a machine that is being saved', () => void world.add('i1', { status: 'pausing' }), 502],
    [
      'a machine that is about to stop',
      () => {
        world.activity.closeGate('i1');
        world.activity.announceStop('i1');
      },
      502,
    ],
    ['a sandbox that sleeps', () => void world.add('i1', { status: 'paused' }), 502],
    ['a sandbox that is no more', () => void world.views.delete('i1'), 502],
    [
      'a machine that was about to stop and runs on',
      () => {
        world.activity.announceStop('i1');
        world.activity.openGate('i1');
      },
      204,
    ],
  ])('leaves the health of %s', async (_state, change, status) => {
    await world.serveGuest((_request, response) => void response.writeHead(204).end());
    change();
    expect((await at('/health')).status).toBe(status);
  });

  test('answers a question about the health that the stop overtakes', async () => {
    await world.serveGuest(() => undefined);
    const waiting = at('/health');
    await expect.poll(() => world.activity.openTo('i1'), { interval: 5 }).toBe(1);
    world.activity.closeGate('i1');
    world.activity.announceStop('i1');
    world.activity.cutStreams('i1');
    const answer = await waiting;
    expect([answer.status, await answer.json()]).toEqual([502, NOT_FOUND]);
  });

  test('answers a request that waits for its answer, instead of dropping it silently', async () => {
    await world.serveGuest(() => undefined);
    const waiting = at('/process.Process/SendInput', { method: 'POST', body: '{}' });
    await expect.poll(() => world.activity.openTo('i1'), { interval: 5 }).toBe(1);
    world.activity.cutStreams('i1');
    const { status } = await waiting;
    expect(status).toBe(409);
  });

  test('does not call a port closed whose machine is being saved', async () => {
    await world.serveGuest((request) => {
      world.add('i1', { status: 'pausing' });
      request.socket.destroy();
    });
    const answer = await at('/process.Process/List', { method: 'POST', body: '{}' });
    expect([answer.status, ((await answer.json()) as { message: string }).message]).toEqual([
      409,
      expect.stringContaining('stopped before it answered'),
    ]);
  });

  test('leaves the exact 502 behind', async () => {
    await world.serveGuest((_request, response) => void response.writeHead(204).end());
    world.add('i1', { status: 'paused' });
    const response = await at('/health');
    expect([response.status, response.headers.get('content-type')]).toEqual([502, 'application/json']);
    expect(await response.json()).toEqual(NOT_FOUND);
  });
});

test('a guest that goes away in the middle of a Connect stream leaves an error that says so', async () => {
  await world.serveGuest((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/connect+json' });
    response.write(data, () => response.destroy());
  });
  const answer = await at('/process.Process/Start', { method: 'POST', body: '{}' });
  const last = Buffer.from(await answer.arrayBuffer()).subarray(data.length);
  expect(JSON.parse(last.toString('utf8', 5))).toEqual({
    error: { code: 'unavailable', message: 'The connection to the sandbox ended before this stream did' },
  });
});

describe('a port that is not open', () => {
  test.each([49_983, 8080])('answers the exact 502 for port %i', async (port) => {
    const response = await at('/', {}, port);
    expect(response.status).toBe(502);
    expect(await response.json()).toEqual({
      ...{ sandboxId: 'i1', message: 'The sandbox is running but port is not open', port, code: 502 },
    });
  });
});

describe('the internal routes', () => {
  test('need the gateway token', async () => {
    for (const headers of [{}, { 'x-dormouse-gateway-token': 'wrong' }] as Record<string, string>[]) {
      for (const path of ['/internal/sandboxes', '/internal/host', '/']) {
        const { status } = await fetch(world.gatewayUrl + path, { headers });
        expect(status).toBe(401);
      }
    }
  });

  test('give the index and the report', async () => {
    world.add('i2', {}, { tenant: 'b' });
    const headers = { 'x-dormouse-gateway-token': 'ab'.repeat(32) };
    const ask = async (path: string): Promise<[number, { message?: string }]> => {
      const response = await fetch(world.gatewayUrl + path, { headers });
      return [response.status, (await response.json()) as { message?: string }];
    };
    const query = encodeURIComponent(JSON.stringify({ tenant: 'b' }));
    const page = { sandboxes: [world.views.get('i2')], more: false, totalRunning: 1 };
    expect(await ask(`/internal/sandboxes?query=${query}`)).toEqual([200, page]);
    for (const wrong of ['{', '{"limit":-1}', '{"tenants":"b"}']) {
      const [status, { message }] = await ask(`/internal/sandboxes?query=${encodeURIComponent(wrong)}`);
      expect([status, message]).toEqual([400, expect.stringMatching(/^query: /)]);
    }
    expect(await ask('/internal/sandboxes/i1')).toEqual([200, world.views.get('i1')]);
    expect((await ask('/internal/sandboxes/i9'))[0]).toBe(404);
    expect(await ask('/internal/host')).toEqual([200, world.report]);
    expect((await ask('/elsewhere'))[0]).toBe(404);
  });

  test('a guest never sees the headers between api and host, nor can a client send any', async () => {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(...request.rawHeaders);
      response.end();
    });
    world.guestPorts.set(8080, Number(new URL(await world.listen(server)).port));
    world.add('i2', { status: 'paused' });
    const spoofed = { 'x-dormouse-sandbox': 'i2', 'x-dormouse-port': '1', 'X-Dormouse-Anything': 'x' };
    expect((await at('/', { headers: spoofed }, 8080)).status).toBe(200);
    expect(seen.join(' ').toLowerCase()).not.toContain('x-dormouse');
  });
});
