import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { streamServer } from '../../src/relay/stream-server.js';
import { prepareCertificate } from '../../src/setup/certificate.js';
import { followCertificate, readCertificate } from '../../src/tls/certificate-files.js';
import { ensureLocalCertificate } from '../../src/tls/local-certificate.js';
import { FakeWorld } from '../api/fake-world.js';

let directory: string;
let world: FakeWorld;
let ca: Buffer;
const filesIn = (name: string) => {
  const at = (file: string): string => path.join(directory, name, file);
  return { certFile: at('server.pem'), keyFile: at('server.key'), caFile: at('ca.pem'), bundleFile: at('bundle.pem') };
};
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dormouse-https-'));
  await ensureLocalCertificate(filesIn('one'), ['localhost', 'sbx.test', '*.sbx.test', '127.0.0.1']);
  await ensureLocalCertificate(filesIn('two'), ['localhost', '127.0.0.1']);
  ca = await readFile(filesIn('one').caFile);
  world = new FakeWorld();
  world.secure = await readCertificate(filesIn('one'));
  await world.start();
  world.add('i1');
  const guest = await world.serveGuest((incoming, response) => void incoming.pipe(response));
  new WebSocketServer({ server: guest }).on('connection', (socket) =>
    socket.on('message', (data) => socket.send(data)),
  );
  world.guestPorts.set(8080, (guest.address() as { port: number }).port);
});
afterAll(async () => {
  await world.stop();
  await rm(directory, { recursive: true, force: true });
});

/** A plain client that trusts the authority and checks the name; only where the name leads is told. */
const ask = (host: string, path: string, method = 'GET', body = '', headers = {}): Promise<[number, string]> =>
  new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: world.proxyPort,
      servername: host.replace(/:.*/, '').toLowerCase(),
      ca,
      agent: false as const,
    };
    const outgoing = request({ ...options, path, method, headers: { host, ...headers } }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += String(chunk))).on('end', () => resolve([answer.statusCode ?? 0, text]));
    });
    outgoing.on('error', reject).end(body);
  });

test('sandboxes are reached over HTTPS by their host, under one certificate', async () => {
  expect(await ask('8080-i1.sbx.test', '/', 'POST', 'hello')).toEqual([200, 'hello']);
  expect((await ask('49983-gone.sbx.test', '/health'))[0]).toBe(502);
  await expect(ask('8080-i1.elsewhere.test', '/')).rejects.toThrow(/does not match|altnames/);
});

test('WebSockets work over TLS', async () => {
  const url = `wss://127.0.0.1:${world.proxyPort}/`;
  const socket = new WebSocket(url, {
    ...{ ca, servername: '8080-i1.sbx.test' },
    headers: { host: '8080-i1.sbx.test' },
  });
  const back = new Promise((resolve, reject) => {
    socket.once('message', (data: Buffer) => resolve(data.toString())).once('error', reject);
  });
  socket.once('open', () => socket.send('hi'));
  expect(await back).toBe('hi');
  socket.terminate();
});

test('a stream whose sandbox stops is reset, after what it said', async () => {
  const guest = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/connect+json' });
    response.write(Buffer.from([0, 0, 0, 0, 2, 123, 125]));
  });
  world.guests.set('i2', { host: '127.0.0.1', port: Number(new URL(await world.listen(guest)).port) });
  world.add('i2');
  const host = '49983-i2.sbx.test';
  let said = '';
  const broken = await new Promise((resolve) => {
    const to = { host: '127.0.0.1', port: world.proxyPort, servername: host, ca, agent: false as const };
    const headers = { host, ...world.access('i2') };
    const outgoing = request({ ...to, path: '/process.Process/Start', method: 'POST', headers }, (answer) => {
      answer
        .on('error', () => undefined)
        .on('data', (chunk) => {
          said += String(chunk);
          world.activity.announceStop('i2');
          world.activity.cutStreams('i2');
        });
    });
    outgoing
      .on('error', resolve)
      .once('close', () => resolve('closed'))
      .end('{}');
  });
  expect([said, broken]).toEqual(['\0\0\0\0\x02{}', expect.objectContaining({ code: 'ECONNRESET' })]);
});

test('the api answers at the same port under its own name, and only there', async () => {
  const key = { 'x-api-key': 'key-a' };
  expect((await ask('api.sbx.test', '/v2/sandboxes', 'GET', '', key))[0]).toBe(200);
  expect((await ask('API.sbx.test:3001', '/v2/sandboxes', 'GET', '', key))[0]).toBe(200);
  expect((await ask('8080-i1.sbx.test', '/v2/sandboxes', 'POST', 'guest', key))[1]).toBe('guest');
});

test('a plain request to the TLS port and one of 1 MB harm nobody', async () => {
  await fetch(`http://127.0.0.1:${world.proxyPort}/`).catch(() => undefined);
  const big = await ask('8080-i1.sbx.test', '/', 'GET', '', { 'x-a': 'a'.repeat(1 << 20) }).catch(() => [431]);
  expect(big[0]).toBe(431);
  expect((await ask('8080-i1.sbx.test', '/', 'POST', 'x'))[0]).toBe(200);
});

test('a changed certificate is served to new connections without a restart; a broken one is not', async () => {
  const live = { certFile: path.join(directory, 'live.pem'), keyFile: path.join(directory, 'live.key') };
  const put = async (name: string): Promise<void> => {
    await copyFile(filesIn(name).keyFile, live.keyFile);
    await copyFile(filesIn(name).certFile, live.certFile);
  };
  await put('one');
  const server = streamServer(await readCertificate(live));
  await world.listen(server);
  const { port } = server.address() as { port: number };
  const stop = followCertificate(live, [server as never], pino({ level: 'silent' }), 20);
  const served = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket: TLSSocket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  const first = await served();
  await put('two');
  await expect.poll(served).not.toBe(first);
  const second = await served();
  await writeFile(live.keyFile, 'no key');
  await new Promise((resolve) => setTimeout(resolve, 120));
  expect(await served()).toBe(second);
  await put('one');
  await expect.poll(served).toBe(first);
  stop();
});

test('a given certificate that does not name the domain is warned of at the start, one that does is not', async () => {
  const said: string[] = [];
  const look = (name: string): Promise<void> =>
    prepareCertificate({ tls: filesIn(name), domain: 'sbx.test', listen: '127.0.0.1' }, (line) => void said.push(line));
  await look('one');
  expect(said).toEqual([]);
  await look('two');
  expect(said).toEqual([expect.stringMatching(/server\.pem does not name .*needs \*\.sbx\.test/)]);
});

test.each([
  ['a missing file', 'missing.pem', 'one/server.key', /missing\.pem cannot be used as certificate/],
  ['a key in place of the certificate', 'one/server.key', 'one/server.key', /cannot be used as certificate/],
  ['a certificate in place of the key', 'one/server.pem', 'one/server.pem', /cannot be used as private key/],
  ['the key of another', 'one/server.pem', 'two/server.key', /is not that of the certificate/],
])('%s is refused with a sentence that names it', async (_name, certFile, keyFile, message) => {
  const files = { certFile: path.join(directory, certFile), keyFile: path.join(directory, keyFile) };
  await expect(readCertificate(files)).rejects.toThrow(message);
});
