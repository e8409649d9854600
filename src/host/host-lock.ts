import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';

/**
 * One host worker per state directory: an abstract unix socket, which the kernel frees when its process dies,
 * however it dies.
 * @throws Error when another host worker has the directory.
 */
export async function lockStateDirectory(stateDir: string): Promise<() => Promise<void>> {
  const name = createHash('sha256')
    .update(await realpath(stateDir))
    .digest('hex')
    .slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  server.listen(`\0dormouse-host-${name}`);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new Error(
      `another host worker already runs on ${stateDir}. Stop it, or give this one its own DORMOUSE_STATE_DIR.`,
    );
  }
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}
