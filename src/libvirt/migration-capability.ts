import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const CAPABILITY = 'x-ignore-shared';

/**
 * Connects to the second QMP monitor of a starting QEMU (which waits for it) and turns `x-ignore-shared` on, so that
 * save and restore leave the shared memory file alone. Call it while libvirt starts or restores the domain.
 *
 * @throws Error when the socket does not appear or QEMU refuses; abort `signal` when the start itself has failed.
 */
export async function ignoreSharedMemory(qmpSocket: string, signal: AbortSignal): Promise<void> {
  const socket = await connectWhenThere(qmpSocket, signal);
  const lines = createInterface({ input: socket });
  const stop = (): void => void socket.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await nextMessage(lines, signal, 'QMP');
    await command(socket, lines, signal, { execute: 'qmp_capabilities' });
    await command(socket, lines, signal, {
      execute: 'migrate-set-capabilities',
      arguments: { capabilities: [{ capability: CAPABILITY, state: true }] },
    });
  } finally {
    signal.removeEventListener('abort', stop);
    lines.close();
    socket.destroy();
  }
}

/** Whether the capability is on in a running QEMU; asked before every save. */
export async function ignoresSharedMemory(qmpSocket: string, signal: AbortSignal): Promise<boolean> {
  const socket = await connectWhenThere(qmpSocket, signal);
  const lines = createInterface({ input: socket });
  try {
    await nextMessage(lines, signal, 'QMP');
    await command(socket, lines, signal, { execute: 'qmp_capabilities' });
    const answer = await command(socket, lines, signal, { execute: 'query-migrate-capabilities' });
    const capabilities = answer as { capability: string; state: boolean }[];
    return capabilities.some((item) => item.capability === CAPABILITY && item.state);
  } finally {
    lines.close();
    socket.destroy();
  }
}

/**
 * libvirt gives no sign of the moment at which QEMU has made its socket: this tries every few milliseconds. Never by
 * the file system's functions: they need libuv's threads, which may all be in calls of libvirt that wait for this.
 */
async function connectWhenThere(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    signal.throwIfAborted();
    const socket = connect(path);
    try {
      await once(socket, 'connect', { signal });
      socket.on('error', () => undefined);
      return socket;
    } catch (error) {
      socket.destroy();
      if (!['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    await delay(5, undefined, { signal });
  }
}

async function command(socket: Socket, lines: Interface, signal: AbortSignal, request: object): Promise<unknown> {
  const answer = nextMessage(lines, signal, 'return');
  socket.write(`${JSON.stringify(request)}\n`);
  return answer;
}

/** The next message that has `key`; events in between are passed over. */
function nextMessage(lines: Interface, signal: AbortSignal, key: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      lines.off('line', onLine);
      lines.off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onLine = (line: string): void => {
      const message = JSON.parse(line) as Record<string, unknown>;
      if (key in message) done(() => resolve(message[key]));
      else if ('error' in message) done(() => reject(new Error(`QEMU refused: ${JSON.stringify(message['error'])}`)));
    };
    const onClose = (): void => done(() => reject(new Error('QEMU closed its monitor')));
    const onAbort = (): void => done(() => reject(signal.reason as Error));
    lines.on('line', onLine);
    lines.on('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
