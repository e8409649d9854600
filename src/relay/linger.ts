import type { Socket } from 'node:net';

/** The client's own bytes are read and let go for this long, so that the answer reaches it before the end does. */
const LINGER_MS = 2_000;

/**
 * Lets a connection end so that its client can read the answer: one that is closed while the client still sends is reset, and
 * a reset may overtake the answer. Takes effect where the connection would be closed after what was written.
 */
export function linger(socket: Socket): void {
  socket.destroySoon = () => {
    if (socket.destroyed) return;
    socket.removeAllListeners('data');
    socket.on('data', () => undefined).on('error', () => socket.destroy());
    socket.resume();
    const end = (): void => {
      const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
      socket.once('close', () => clearTimeout(timer));
    };
    socket.once('end', () => socket.destroy());
    if (socket.writableFinished) end();
    else socket.once('finish', end).end();
  };
}
