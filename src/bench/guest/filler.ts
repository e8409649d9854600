/** Runs in a guest: holds seeded memory and ticks, told by requests to a port of its loopback (the first argument). */
import { createServer, type ServerResponse } from 'node:http';
import { SeededMemory } from './seeded-memory.js';

const TICK_MS = 10;

const memory = new SeededMemory();
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://guest');
  const number = (name: string): number => Number(searchParams.get(name));
  switch (pathname) {
    case '/fill':
      return void response.end(memory.fill(number('mib'), number('seed')));
    case '/change':
      return void response.end(memory.change(number('mib'), number('seed')));
    case '/checksum':
      return void response.end(memory.checksum());
    case '/ticks':
      return tick(response);
    default:
      return void response.end('ready');
  }
});
server.listen(Number(process.argv[2]), '127.0.0.1');

/** A line every 10 ms until the reader goes away. */
function tick(response: ServerResponse): void {
  let count = 0;
  response.writeHead(200, { 'content-type': 'text/plain' });
  const timer = setInterval(() => response.write(`${count++}\n`), TICK_MS);
  response.once('close', () => clearInterval(timer));
}
