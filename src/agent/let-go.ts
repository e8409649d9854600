import type { Duplex } from 'node:stream';

/** A connection whose client has sent less than a real upload does in this time is closed, and every one after the longer. */
const LINGER_MS = 2_000;
const UPLOAD_BYTES = 16_384;
const LONGEST_LINGER_MS = 30_000;

/**
 * Reads what a client still sends, for a while, and lets it go: a connection that is closed while its client still sends is
 * reset, and the reset may overtake the answer.
 *
 * @param mostLetGo bytes, after which it is closed all the same
 * @param close called once, at the client's end or when its time is over
 */
export function letGo(client: Duplex, mostLetGo = Infinity, close = (): void => void client.destroy()): void {
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    close();
  };
  const idle = setTimeout(end, LINGER_MS).unref();
  const longest = setTimeout(end, LONGEST_LINGER_MS).unref();
  let seen = 0;
  let sinceRefresh = 0;
  client.on('data', (chunk: Buffer) => {
    seen += chunk.length;
    if (seen > mostLetGo) return end();
    sinceRefresh += chunk.length;
    if (sinceRefresh < UPLOAD_BYTES) return;
    sinceRefresh = 0;
    idle.refresh();
  });
  client.on('error', end).once('end', end);
  client.once('close', () => [idle, longest].forEach((timer) => clearTimeout(timer)));
  client.resume();
}
