import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { inotifyCalls, lastErrno, read, type InotifyCalls } from '../../libc.js';

/** Of <sys/inotify.h>. */
export const IN = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  IGNORED: 0x8000,
  ONLYDIR: 0x1000000,
  DONT_FOLLOW: 0x2000000,
  ISDIR: 0x40000000,
} as const;

const WATCHED =
  IN.MODIFY | IN.ATTRIB | IN.MOVED_FROM | IN.MOVED_TO | IN.CREATE | IN.DELETE | IN.DELETE_SELF | IN.MOVE_SELF;

const HEAD_BYTES = 16;
const BUFFER_BYTES = 64 * 1024;

/** One event as the kernel tells it. */
export interface KernelEvent {
  /** Of the watch: the directory. */
  wd: number;
  mask: number;
  /** The two halves of a move have the same. */
  cookie: number;
  /** In the directory; empty where it happened to the directory itself. */
  name: string;
  /** Events are numbered as they are read. */
  number: number;
}

export interface InotifyListener {
  onKernelEvent(event: KernelEvent): void;
}

/**
 * The kernel's events of directories, from one instance for all who watch: a user may have few instances. Node's own
 * `watch` passes on less, and not at the moment when somebody asks.
 */
class Inotify {
  #open: { fd: number; calls: InotifyCalls } | undefined;
  /** Who listens to a watch, and the number of the first event that is theirs. */
  readonly #listeners = new Map<number, Map<InotifyListener, number>>();
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #queue: KernelEvent[] = [];
  #collected = 0;
  #handsOut = false;

  /** Events that were read from the kernel so far. */
  get collected(): number {
    return this.#collected;
  }

  /** @returns the number of the watch, the same for the same directory. @throws a system error. */
  add(directory: string, listener: InotifyListener, flags = 0): number {
    this.#open ??= this.#start();
    // What happened before is none of this listener's.
    this.collect();
    const wd = this.#open.calls.addWatch(this.#open.fd, directory, WATCHED | IN.ONLYDIR | flags);
    if (wd < 0) throw systemError(`cannot watch '${directory}'`);
    const listeners = this.#listeners.get(wd) ?? new Map<InotifyListener, number>();
    this.#listeners.set(wd, listeners);
    if (!listeners.has(listener)) listeners.set(listener, this.#collected);
    return wd;
  }

  remove(wd: number, listener: InotifyListener): void {
    const listeners = this.#listeners.get(wd);
    if (listeners?.delete(listener) !== true || listeners.size > 0) return;
    this.#listeners.delete(wd);
    // Fails where the directory is gone.
    this.#open?.calls.removeWatch(this.#open.fd, wd);
  }

  /** Hands out all that the kernel has queued. */
  readNow(): void {
    this.collect();
    this.#handOut();
  }

  /** Takes what the kernel has queued; it is handed out in order. */
  collect(): void {
    for (;;) {
      const bytes = this.#open === undefined ? 0 : read(this.#open.fd, this.#buffer, BUFFER_BYTES);
      if (bytes <= 0) return;
      this.#parse(this.#buffer.subarray(0, bytes));
    }
  }

  #start(): { fd: number; calls: InotifyCalls } {
    const calls = inotifyCalls();
    const fd = calls.init();
    if (fd < 0) throw systemError('cannot watch');
    // To Node this is a pipe: it waits for something to read there, and reads it.
    const { Pipe } = (process as unknown as { binding: (name: 'pipe_wrap') => PipeBinding }).binding('pipe_wrap');
    const handle = new Pipe(0);
    handle.open(fd);
    const socket = new Socket({ handle, readable: true, writable: false } as ConstructorParameters<typeof Socket>[0]);
    socket.on('data', (bytes: Buffer) => {
      this.#parse(bytes);
      this.readNow();
    });
    socket.on('error', (error) => console.error('watching has ended', error)).unref();
    return { fd, calls };
  }

  #parse(bytes: Buffer): void {
    for (let at = 0; at + HEAD_BYTES <= bytes.length;) {
      const length = bytes.readUInt32LE(at + 12);
      const padded = bytes.toString('utf8', at + HEAD_BYTES, at + HEAD_BYTES + length);
      this.#queue.push({
        wd: bytes.readInt32LE(at),
        mask: bytes.readUInt32LE(at + 4),
        cookie: bytes.readUInt32LE(at + 8),
        name: padded.split('\0', 1)[0]!,
        number: this.#collected++,
      });
      at += HEAD_BYTES + length;
    }
  }

  #handOut(): void {
    // A listener that looks around may collect more: it is handed out after what is under way.
    if (this.#handsOut) return;
    this.#handsOut = true;
    try {
      for (let at = 0; at < this.#queue.length; at++) this.#tell(this.#queue[at]!);
    } finally {
      this.#queue = [];
      this.#handsOut = false;
    }
  }

  #tell(event: KernelEvent): void {
    for (const [listener, first] of this.#listeners.get(event.wd) ?? []) {
      if (event.number >= first) listener.onKernelEvent(event);
    }
    if ((event.mask & IN.IGNORED) !== 0) this.#listeners.delete(event.wd);
  }
}

interface PipeBinding {
  Pipe: new (type: 0) => { open: (fd: number) => number };
}

function systemError(what: string): NodeJS.ErrnoException {
  const errno = lastErrno();
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${what}: ${code}`), { errno: -errno, code });
}

export const inotify = new Inotify();
