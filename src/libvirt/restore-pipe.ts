import { once } from 'node:events';
import { closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

/** What no QEMU takes for a migration stream: it ends at once. */
const NO_STREAM = Buffer.alloc(64);
/** More than this a pipe never holds, unless somebody asks for it. */
const PIPE_HOLDS_BYTES = 64 * 1024;
/** Returns at once, whoever has it open. */
const OPEN_BOTH_ENDS = constants.O_RDWR | constants.O_NONBLOCK;

/** Node has no call for it, and a process of its own for each wake is time that somebody waits. */
const mkfifo = koffi.load('libc.so.6').func('int mkfifo(const char *, unsigned int)');

/**
 * A named pipe from which libvirt restores, as if it were a file.
 *
 * It is opened for reading and writing: so no open of either side ever waits for the other, nothing that was written gets
 * lost between two readers, and whoever reads sees no end of it before it is closed here.
 * Danger: an open of libvirt's that finds no writer would hold one of its threads for ever. So it stays open until
 * the last reader is certainly there; a restore that shall not be is ended by something that QEMU refuses.
 */
export class RestorePipe {
  private constructor(private readonly socket: Socket) {}

  /** Makes the pipe anew at `path`, mode 0600. */
  static make(path: string): RestorePipe {
    removePipe(path);
    if (mkfifo(path, 0o600) !== 0)
      throw new Error(`no named pipe could be made at ${path}: ${getSystemErrorName(-koffi.errno())}`);
    const socket = new Socket({ fd: openSync(path, OPEN_BOTH_ENDS), readable: false, writable: true });
    // Said by the write that it ends.
    socket.on('error', () => undefined);
    return new RestorePipe(socket);
  }

  /** Resolves when the reader has taken all but what the pipe itself holds. @throws Error when it was closed before. */
  async write(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    if (this.socket.closed) return;
    const closed = once(this.socket, 'close');
    this.socket.destroy();
    await closed;
  }
}

/**
 * Runs `restore`, which reads a save image from `path`, while its stream is still to come.
 *
 * @param heads what is read before the stream
 * @param stream when it rejects, the restore is ended
 * @throws what `stream` rejected with, otherwise what `restore` did; nothing is left at `path`
 */
export async function restoreThroughPipe(
  path: string,
  heads: readonly Buffer[],
  stream: Promise<Buffer>,
  restore: () => Promise<void>,
): Promise<void> {
  let refused: { why: unknown } | undefined;
  const bytes = stream.catch((why: unknown) => {
    refused = { why };
    return NO_STREAM;
  });
  const pipe = RestorePipe.make(path);
  const feed = async (): Promise<void> => {
    await pipe.write(Buffer.concat(heads));
    const last = await bytes;
    await pipe.write(last);
    // QEMU has begun to read it, then. One that wants more than there is must see the end, or it waits for ever.
    if (last.length > PIPE_HOLDS_BYTES) await pipe.close();
  };
  try {
    // It ends with the pipe at the latest: what went wrong then is the restore's to say.
    void feed().catch(() => undefined);
    await restore();
  } catch (error) {
    throw refused === undefined ? error : refused.why;
  } finally {
    // In this order: whoever opened it has a writer, and nobody opens it any more.
    await rm(path, { force: true });
    await pipe.close();
  }
  if (refused !== undefined) throw refused.why;
}

/** Removes a pipe whose maker has died, and lets go of a libvirt that waits for a writer. Absent is fine. */
export function removePipe(path: string): void {
  try {
    const both = openSync(path, OPEN_BOTH_ENDS);
    unlinkSync(path);
    closeSync(both);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
