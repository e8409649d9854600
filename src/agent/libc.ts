import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import type { address, errno, load } from 'koffi';

/** The native part alone: the package around it looks for twenty platforms. */
const koffi = createRequire(import.meta.url)('@koromix/koffi-linux-x64/linux_x64/koffi.node') as {
  load: typeof load;
  errno: typeof errno;
  address: typeof address;
};
const libc = koffi.load('libc.so.6');

/** What Node has no call for, or one that costs much when a sandbox wakes and everything is cold. -1 is a failure. */
export const clockSettime = libc.func('clock_settime', 'int', ['int', 'void *']) as (
  clock: number,
  timespec: Buffer,
) => number;
export const read = libc.func('read', 'long', ['int', 'void *', 'size_t']) as (
  descriptor: number,
  into: Buffer,
  bytes: number,
) => number;
export const poll = libc.func('poll', 'int', ['void *', 'unsigned long', 'int']) as (
  entries: Buffer,
  count: number,
  timeoutMs: number,
) => number;
/** `llistxattr`: without a buffer, the bytes of the names of what is attached to a file; links are not followed. */
export const attributesLength = libc.func('llistxattr', 'long', ['str', 'void *', 'size_t']) as (
  file: string,
  into: null,
  bytes: 0,
) => number;
const pipe2 = libc.func('pipe2', 'int', ['void *', 'int']) as (ends: Buffer, flags: number) => number;
const ioctl = libc.func('ioctl', 'int', ['int', 'ulong', 'void *']) as (
  descriptor: number,
  request: number,
  argument: Buffer,
) => number;
/** Of the last call of these that failed. */
export const lastErrno = (): number => koffi.errno();

const O_CLOEXEC = 0o2_000_000;

/** @returns the end to read from and the end to write to; undefined when the kernel has no more. */
export function openPipe(): [number, number] | undefined {
  const ends = Buffer.alloc(8);
  return pipe2(ends, O_CLOEXEC) === 0 ? [ends.readInt32LE(0), ends.readInt32LE(4)] : undefined;
}

const FIONREAD = 0x541b;

/** What waits in a pipe. */
export function unreadBytes(descriptor: number): number {
  const count = Buffer.alloc(4);
  return ioctl(descriptor, FIONREAD, count) === 0 ? count.readInt32LE(0) : 0;
}

const IN_NONBLOCK = 0o4_000;

export interface InotifyCalls {
  init: () => number;
  addWatch: (descriptor: number, path: string, mask: number) => number;
  removeWatch: (descriptor: number, watch: number) => number;
}

export function inotifyCalls(): InotifyCalls {
  const init = libc.func('inotify_init1', 'int', ['int']) as (flags: number) => number;
  return {
    init: () => init(O_CLOEXEC | IN_NONBLOCK),
    addWatch: libc.func('inotify_add_watch', 'int', ['int', 'str', 'uint32']) as InotifyCalls['addWatch'],
    removeWatch: libc.func('inotify_rm_watch', 'int', ['int', 'int']) as InotifyCalls['removeWatch'],
  };
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2_000_000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

interface Datagrams {
  socket: number;
  send: (socket: number, message: Buffer, flags: number) => number;
}
let datagrams: Datagrams | undefined;

/**
 * A datagram to a Unix socket, always the same, with a copy of a descriptor. Does not wait. The first call connects: from
 * then on it does not matter whether the socket still has its name.
 */
export function sendWithDescriptor(path: string, text: string, descriptor: number | undefined): number {
  datagrams ??= connectDatagrams(path);
  if (datagrams === undefined) return -1;
  const content = Buffer.from(text);
  const part = Buffer.alloc(16);
  part.writeBigUInt64LE(koffi.address(content), 0);
  part.writeBigUInt64LE(BigInt(content.length), 8);
  const rights = Buffer.alloc(24);
  rights.writeBigUInt64LE(20n, 0);
  rights.writeInt32LE(SOL_SOCKET, 8);
  rights.writeInt32LE(SCM_RIGHTS, 12);
  rights.writeInt32LE(descriptor ?? -1, 16);
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(koffi.address(part), 16);
  message.writeBigUInt64LE(1n, 24);
  if (descriptor !== undefined) {
    message.writeBigUInt64LE(koffi.address(rights), 32);
    message.writeBigUInt64LE(BigInt(rights.length), 40);
  }
  const sent = datagrams.send(datagrams.socket, message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || lastErrno() !== constants.errno.ECONNREFUSED) return sent;
  // Whoever read there has closed the socket; there may be another one of this name.
  closeSync(datagrams.socket);
  datagrams = connectDatagrams(path);
  return datagrams?.send(datagrams.socket, message, MSG_DONTWAIT | MSG_NOSIGNAL) ?? -1;
}

function connectDatagrams(path: string): Datagrams | undefined {
  const open = libc.func('socket', 'int', ['int', 'int', 'int']) as (...args: number[]) => number;
  const connect = libc.func('connect', 'int', ['int', 'void *', 'uint']) as (
    socket: number,
    name: Buffer,
    length: number,
  ) => number;
  const send = libc.func('sendmsg', 'long', ['int', 'void *', 'int']) as Datagrams['send'];
  const name = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(path)]);
  const socket = open(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return undefined;
  if (connect(socket, name, name.length) === 0) return { socket, send };
  const reason = lastErrno();
  closeSync(socket);
  koffi.errno(reason);
  return undefined;
}
