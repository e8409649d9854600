import { chownSync, closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { Socket } from 'node:net';

const { O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

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
 * Opens three named pipes, both ends of each, and takes their names away. They belong to the user: programs open
 * their own output by its name.
 */
export function openPipes(names: string[], uid: number): CommandPipes {
  const opened: number[] = [];
  const open = (name: string, flags: number): number => {
    const end = openSync(name, flags);
    opened.push(end);
    return end;
  };
  try {
    if (process.getuid?.() === 0) for (const name of names) chownSync(name, uid, -1);
    const [input, ...outputs] = names as [string, string, string];
    // Neither end of a pipe opens without the other, but both at once do.
    const both = open(input, O_RDWR | O_NONBLOCK);
    const stdin = [open(input, O_RDONLY), open(input, O_WRONLY)] as const;
    closeSync(both);
    opened.shift();
    const [stdout, stderr] = outputs.map((name) => {
      const ours = open(name, O_RDONLY | O_NONBLOCK);
      return [open(name, O_WRONLY), ours] as const;
    }) as [readonly [number, number], readonly [number, number]];
    return {
      stdio: [stdin[0], stdout[0], stderr[0]],
      ours: { stdin: stdin[1], stdout: stdout[1], stderr: stderr[1] },
      stdin: new Socket({ fd: stdin[1], readable: false, writable: true }),
      stdout: new Socket({ fd: stdout[1], readable: true, writable: false }),
      stderr: new Socket({ fd: stderr[1], readable: true, writable: false }),
    };
  } catch (error) {
    for (const end of opened) closeSync(end);
    throw error;
  } finally {
    for (const name of names) unlinkSync(name);
  }
}
