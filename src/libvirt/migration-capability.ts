import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const CAPABILITY = 'x-ignore-shared';
/** Of one conversation; a greeting and two answers are a few KiB. */
const MOST_BYTES = 1 << 20;

/**
 * Connects to the second QMP monitor of a starting QEMU (which waits for it) and turns `x-ignore-shared` on, so that
 * save and restore leave the shared memory file alone. Call it while libvirt starts or restores the domain.
 *
 * @throws Error when the socket does not appear, or QEMU refuses or ends; abort `signal` when the start itself has failed.
 */
export async function ignoreSharedMemory(qmpSocket: string, signal: AbortSignal): Promise<void> {
  await onMonitor(qmpSocket, signal, (monitor) =>
    monitor.command({
      execute: 'migrate-set-capabilities',
      arguments: { capabilities: [{ capability: CAPABILITY, state: true }] },
    }),
  );
}

/** Whether the capability is on in a running QEMU; asked before every save. */
export async function ignoresSharedMemory(qmpSocket: string, signal: AbortSignal): Promise<boolean> {
  const answer = await onMonitor(qmpSocket, signal, (monitor) =>
    monitor.command({ execute: 'query-migrate-capabilities' }),
  );
  const capabilities = answer as { capability: string; state: boolean }[];
  return capabilities.some((item) => item.capability === CAPABILITY && item.state);
}

async function onMonitor<T>(
  qmpSocket: string,
  signal: AbortSignal,
  work: (monitor: Monitor) => Promise<T>,
): Promise<T> {
  const monitor = new Monitor(await connectWhenThere(qmpSocket, signal), signal);
  try {
    await monitor.message('QMP');
    await monitor.command({ execute: 'qmp_capabilities' });
    return await work(monitor);
  } finally {
    monitor.close();
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

/** One conversation with a QEMU, which may end at any moment: whoever waits, then or later, is told. */
class Monitor {
  readonly #lines: Interface;
  readonly #onAbort = (): void => this.#end(this.signal.reason as Error);
  #wanted: { key: string; resolve(value: unknown): void; reject(error: Error): void } | undefined;
  #ended: Error | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly signal: AbortSignal,
  ) {
    this.#lines = createInterface({ input: socket });
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MOST_BYTES) this.#end(new Error(`QEMU said more than ${MOST_BYTES} bytes on its monitor`));
    });
    this.#lines.on('line', (line) => this.#take(line));
    this.#lines.on('close', () => this.#end(new Error('QEMU closed its monitor')));
    // The interface passes the socket's errors on, and one that nobody hears would end this process.
    this.#lines.on('error', (error: Error) => this.#end(error));
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The next message that has `key`; events in between are passed over. */
  message(key: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#wanted = { key, resolve, reject };
    });
  }

  command(request: object): Promise<unknown> {
    const answer = this.message('return');
    this.socket.write(`${JSON.stringify(request)}\n`);
    return answer;
  }

  close(): void {
    this.signal.removeEventListener('abort', this.#onAbort);
    this.#lines.close();
    this.socket.destroy();
  }

  #take(line: string): void {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    const message = objectIn(line);
    if (message === undefined) return this.#end(new Error('QEMU said what is no JSON object on its monitor'));
    const refused = 'error' in message ? new Error(`QEMU refused: ${JSON.stringify(message['error'])}`) : undefined;
    if (!(wanted.key in message) && refused === undefined) return;
    this.#wanted = undefined;
    if (refused === undefined) wanted.resolve(message[wanted.key]);
    else wanted.reject(refused);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#wanted?.reject(this.#ended);
    this.#wanted = undefined;
    this.socket.destroy();
  }
}

function objectIn(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
