import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { signOfLife } from '../../src/guest/sign-of-life.js';

let passt: Server;
const open = new Set<Socket>();
afterEach(() => {
  for (const socket of open) socket.destroy();
  passt.close();
});

/** Takes every connection, as passt does, whatever becomes of it. */
async function guestThat(does: (socket: Socket) => void): Promise<{ host: string; port: number }> {
  passt = createServer((socket) => {
    open.add(socket.on('error', () => undefined));
    does(socket);
  });
  await new Promise<void>((resolve) => passt.listen(0, '127.0.0.1', resolve));
  return { host: '127.0.0.1', port: (passt.address() as AddressInfo).port };
}
const ask = (address: { host: string; port: number }, ms = 10_000) => signOfLife(address, AbortSignal.timeout(ms));

test.each([
  ['HTTP/1.1 204 No Content\r\n\r\n', 'agent'],
  ['HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n', 'agent'],
  ['this is not HTTP\r\n\r\n', 'agent'],
] as const)('a guest that answers %j has an agent', async (answer, sign) => {
  expect(await ask(await guestThat((socket) => void socket.end(answer)))).toBe(sign);
});

test('a connection that is reset at once is a kernel whose agent is away', async () => {
  expect(await ask(await guestThat((socket) => void socket.resetAndDestroy()))).toBe('kernel');
});

test('silence is no sign of life, nor is a host on which nobody listens any more', async () => {
  expect(await ask(await guestThat(() => undefined), 200)).toBe('none');
  const address = await guestThat(() => undefined);
  await new Promise((resolve) => passt.close(resolve));
  expect(await ask(address)).toBe('none');
});
