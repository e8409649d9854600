import { closeSync, fchownSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { Socket } from 'node:net';
import { Code, ConnectError } from '@connectrpc/connect';
import { lastErrno, openPipe } from '../libc.js';

export interface CommandPipes {
  /** The command's ends. To be closed here once it has them. */
  stdio: number[];
  stdin: Socket;
  stdout: Socket;
  stderr: Socket;
  /** The numbers of these three. */
  ours: { stdin: number; stdout: number; stderr: number };
}

/**
 * Opens three pipes. They belong to the user: programs open their own output by its name, `/dev/stderr`. Node gives its
 * children sockets for pipes, and a socket cannot be opened so. The pipes have no names of their own, which somebody
 * could remove.
 *
 * @throws ConnectError resource_exhausted when the kernel has no more.
 */
export function openPipes(uid: number): CommandPipes {
  const opened: number[] = [];
  const open = (): [number, number] => {
    const ends = openPipe();
    if (ends === undefined) {
      throw new ConnectError(`cannot start: no pipe: ${getSystemErrorName(-lastErrno())}`, Code.ResourceExhausted);
    }
    opened.push(...ends);
    if (process.getuid?.() === 0) fchownSync(ends[0], uid, -1);
    return ends;
  };
  try {
    const [stdin, stdout, stderr] = [open(), open(), open()];
    return {
      stdio: [stdin[0], stdout[1], stderr[1]],
      ours: { stdin: stdin[1], stdout: stdout[0], stderr: stderr[0] },
      stdin: new Socket({ fd: stdin[1], readable: false, writable: true }),
      stdout: new Socket({ fd: stdout[0], readable: true, writable: false }),
      stderr: new Socket({ fd: stderr[0], readable: true, writable: false }),
    };
  } catch (error) {
    for (const end of opened) closeSync(end);
    throw error;
  }
}
