import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';

/**
 * One host worker per state directory.
 * @throws Error when another host worker has the directory.
 */
export async function lockStateDirectory(stateDir: string): Promise<() => Promise<void>> {
  const name = createHash('sha256')
    .update(await realpath(stateDir))
    .digest('hex')
    .slice(0, 32);
  return lockOnMachine(
    `host-${name}`,
    `another host worker already runs on ${stateDir}. Stop it, or give this one its own DORMOUSE_STATE_DIR.`,
  );
}

/**
 * A name that one process of this machine has at a time: an abstract unix socket, which the kernel frees when its process
 * dies, however it dies.
 *
 * @returns gives it up
 * @throws Error(`taken`) when another one has it
 */
export async function lockOnMachine(name: string, taken: string): Promise<() => Promise<void>> {
  const server = createServer((socket) => socket.destroy());
  server.listen(`\0dormouse-${name}`);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new Error(taken);
  }
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}
