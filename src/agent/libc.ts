import { createRequire } from 'node:module';
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
/** Of the last call of these that failed. */
export const lastErrno = (): number => koffi.errno();

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2_000_000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

let datagrams: { socket: number; send: (socket: number, message: Buffer, flags: number) => number } | undefined;

/** A datagram to a Unix socket, with a copy of a descriptor. Does not wait. */
export function sendWithDescriptor(path: string, text: string, descriptor: number | undefined): number {
  if (datagrams === undefined) {
    const open = libc.func('socket', 'int', ['int', 'int', 'int']) as (...args: number[]) => number;
    const send = libc.func('sendmsg', 'long', ['int', 'void *', 'int']) as NonNullable<typeof datagrams>['send'];
    const socket = open(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return socket;
    datagrams = { socket, send };
  }
  const name = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(path)]);
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
  message.writeBigUInt64LE(koffi.address(name), 0);
  message.writeUInt32LE(name.length, 8);
  message.writeBigUInt64LE(koffi.address(part), 16);
  message.writeBigUInt64LE(1n, 24);
  if (descriptor !== undefined) {
    message.writeBigUInt64LE(koffi.address(rights), 32);
    message.writeBigUInt64LE(BigInt(rights.length), 40);
  }
  return datagrams.send(datagrams.socket, message, MSG_DONTWAIT | MSG_NOSIGNAL);
}
