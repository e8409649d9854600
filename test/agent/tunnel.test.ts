import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { dialTunnel } from '../../src/guest/client.js';
import { freePort, startAgent, TOKEN, type RunningAgent } from './agent-process.js';

const inTime = (): AbortSignal => AbortSignal.timeout(10_000);

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

async function echo(host: string): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write('hello ');
    socket.pipe(socket);
  }).listen(0, host);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

test.each(['127.0.0.1', '::1'])('a tunnel leads to a port of %s, both ways and to the end', async (host) => {
  const { server, port } = await echo(host);
  const socket = await dialTunnel(agent.address, TOKEN, port, inTime());
  const sent = Buffer.alloc(2_000_000, 'x');
  socket.end(sent);
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(Buffer.concat([Buffer.from('hello '), sent]))).toBe(true);
  server.close();
});

test('a service that ends its connection ends the tunnel', async () => {
  const server = createServer((socket) => socket.end('bye')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = await dialTunnel(agent.address, TOKEN, (server.address() as AddressInfo).port, inTime());
  const [data] = (await once(socket, 'data')) as [Buffer];
  expect(data.toString()).toBe('bye');
  await once(socket, 'close');
  server.close();
});

test('a closed port and a wrong token open no tunnel', async () => {
  await expect(dialTunnel(agent.address, TOKEN, await freePort(), inTime())).rejects.toThrow('502');
  await expect(dialTunnel(agent.address, 'wrong', await freePort(), inTime())).rejects.toThrow('401');
});

describe('a service whose connection breaks', () => {
  const broken = async (serve: (socket: Socket) => void): Promise<Socket> => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => serve(socket));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    // A connection that waits to be taken would go with the server.
    const [socket] = await Promise.all([dialTunnel(agent.address, TOKEN, port, inTime()), once(server, 'connection')]);
    server.close();
    return socket;
  };
  const heard = async (socket: Socket): Promise<{ text: string; ended: boolean }> => {
    let [text, ended] = ['', false];
    socket.on('data', (chunk: Buffer) => (text += chunk.toString())).on('error', () => undefined);
    socket.on('end', () => (ended = true));
    await new Promise((resolve) => socket.once('close', resolve));
    return { text, ended };
  };

  test('while it is sent more ends the tunnel behind all that it said', async () => {
    const socket = await broken((service) => {
      service.pause();
      service.write('x'.repeat(20_000), () => service.destroy());
    });
    socket.write(Buffer.alloc(4 << 20));
    const { text, ended } = await heard(socket);
    expect([text.length, ended]).toEqual([20_000, true]);
  });

  test('after its own end, while it is sent more, costs no word of it', async () => {
    const socket = await broken((service) => service.end('x'.repeat(20_000), () => service.destroy()));
    socket.write(Buffer.alloc(4 << 20));
    const { text, ended } = await heard(socket);
    expect([text.length, ended]).toEqual([20_000, true]);
  });

  test('in the middle of an answer does not make it look whole', async () => {
    let said = '';
    const socket = await broken((service) => {
      service.write('one half');
      const reset = setInterval(() => {
        if (said !== 'one half') return;
        clearInterval(reset);
        service.resetAndDestroy();
      }, 5);
    });
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
    socket.write('go on');
    expect(await heard(socket)).toEqual({ text: 'one half', ended: false });
  });

  test('before it has said anything ends the tunnel', async () => {
    const socket = await broken((service) => service.resetAndDestroy());
    socket.write('go on');
    expect(await heard(socket)).toMatchObject({ text: '' });
  });
});
