import type { Socket } from 'node:net';

/** A connection whose client has sent less than a real upload does in this time is closed, and every one after the longer. */
const LINGER_MS = 2_000;
const UPLOAD_BYTES = 16_384;
const LONGEST_LINGER_MS = 30_000;

/**
 * Lets a connection end so that its client can read the answer: one that is closed while the client still sends is reset, and
 * a reset may overtake the answer. The client's own bytes are read and let go meanwhile. Takes effect where the connection
 * would be closed after what was written.
 */
export function linger(socket: Socket): void {
  socket.destroySoon = () => {
    if (socket.destroyed) return;
    const destroy = (): void => void socket.destroy();
    let idle: NodeJS.Timeout | undefined;
    let letGo = 0;
    socket.removeAllListeners('data');
    socket.on('error', destroy).on('data', (chunk: Buffer) => {
      letGo += chunk.length;
      if (letGo < UPLOAD_BYTES) return;
      letGo = 0;
      idle?.refresh();
    });
    socket.resume();
    const end = (): void => {
      idle = setTimeout(destroy, LINGER_MS).unref();
      const longest = setTimeout(destroy, LONGEST_LINGER_MS).unref();
      socket.once('close', () => [idle, longest].forEach((timer) => clearTimeout(timer)));
    };
    socket.once('end', destroy);
    if (socket.writableFinished) end();
    else socket.once('finish', end).end();
  };
}
