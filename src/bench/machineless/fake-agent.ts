import { createServer, type Server, type ServerResponse } from 'node:http';

/** Its answer is a stream that never ends. */
export const TRICKLING = '/process.Process/Start';
const EVERY_MS = 20;

const OUTPUT = Buffer.from('{"event":{"data":{"stdout":"eA=="}}}');
/** What comes on that stream, over and over, a byte at a time: the worst that a guest can do to who waits for whole frames. */
export const TRICKLED = Buffer.concat([Buffer.from([0, 0, 0, 0, OUTPUT.length]), OUTPUT]);

/** The agent of a machine that is not there: answers everything as `init`, but for {@link TRICKLING}. Does not listen yet. */
export const fakeAgent = (bootId: string): Server =>
  createServer((request, response) => {
    request.resume();
    if (request.url === TRICKLING) return trickle(response);
    response.setHeader('content-type', 'application/json');
    request.once('end', () => response.end(JSON.stringify({ bootId, envdVersion: '0.5.2' })));
  });

function trickle(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/connect+json' }).flushHeaders();
  let at = 0;
  const writing = setInterval(() => {
    response.write(TRICKLED.subarray(at, at + 1));
    at = (at + 1) % TRICKLED.length;
  }, EVERY_MS);
  response.once('close', () => clearInterval(writing));
}
