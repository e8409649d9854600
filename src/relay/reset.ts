import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What was written last travels for so long; a reset may overtake it. */
const ARRIVES_WITHIN_MS = 250;
/** How long a client may take to read what was written before. */
const READ_WITHIN_MS = 10_000;

/**
 * Breaks an answer off with a reset, after all that was written before. A connection that is only closed in the middle is a
 * fault of HTTP to some clients, and not of the network: those do not ask what has become of the sandbox.
 */
export function resetAfterWritten(response: ServerResponse): void {
  const { socket } = response;
  // Without one the answer waits behind another, and nothing of it was written.
  if (socket === null || response.destroyed) return void response.destroy();
  const timers = [setTimeout(reset, READ_WITHIN_MS, socket)];
  response.once('close', () => timers.forEach((timer) => clearTimeout(timer)));
  socket.write(Buffer.alloc(0), (error) => {
    if (!error) timers.push(setTimeout(reset, ARRIVES_WITHIN_MS, socket));
  });
}

/** A TLS socket cannot be reset itself, but the connection below it can. */
function reset(socket: Socket & { _parent?: Socket | null }): void {
  (socket._parent ?? socket).resetAndDestroy();
  socket.destroy();
}
