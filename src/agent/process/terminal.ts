import { chownSync } from 'node:fs';
import { constants } from 'node:os';
import type { Socket } from 'node:net';
import { Code, ConnectError } from '@connectrpc/connect';
import { spawn, type IPty } from '@lydell/node-pty';
import type { PTY_Size } from '../../gen/process/process_pb.js';
import { withNormalOomScore } from '../oom-score.js';
import type { User } from '../users.js';
import type { Command } from './command.js';
import { exitedWith, killedBy } from './exit-status.js';
import { Output } from './output.js';
import { killGroup, type Running } from './running.js';
import { TerminalInput } from './terminal-input.js';
import { Utf8Cutter } from './utf8-cutter.js';

/** Starts a command as the leader of a session on a terminal of its own. */
export function startOnTerminal(command: Command, size: PTY_Size | undefined): Running {
  const terminal = withNormalOomScore(() =>
    spawn(command.file, command.args, {
      cwd: command.cwd,
      env: command.env,
      cols: size?.cols || 80,
      rows: size?.rows || 24,
      encoding: null,
    }),
  );
  giveTo(command.user, terminal);
  const output = new Output((reading) => terminal[reading ? 'resume' : 'pause']());
  output.pid = terminal.pid;
  const cutter = new Utf8Cutter();
  let gone = false;
  const { fd, _socket: socket } = terminal as IPty & { fd: number; _socket: Socket };
  const input = new TerminalInput(fd, () => !socket.destroyed);
  terminal.onData((data) => output.write('pty', cutter.push(data as unknown as Buffer)));
  terminal.onExit(({ exitCode, signal }) => {
    output.write('pty', cutter.rest());
    gone = true;
    output.end(signal ? killedBy(signalName(signal)) : exitedWith(exitCode));
  });
  return {
    pid: terminal.pid,
    terminal: true,
    output,
    descriptors: () => ({ pty: fd }),
    onInputClosed: () => undefined,
    // The terminal is hung up when its process has ended.
    outputsClosed: Promise.resolve(),
    isGone: () => gone,
    write: (bytes) => input.write(bytes),
    closeStdin: () => {
      throw new ConnectError('the stdin of a terminal cannot be closed', Code.FailedPrecondition);
    },
    resize: (columns, rows) => {
      if (columns > 0 && rows > 0) terminal.resize(columns, rows);
    },
    kill: (signal) => killGroup(terminal.pid, signal),
  };
}

/** Programs open their terminal by its name, and ask whether it is theirs. */
function giveTo(user: User, terminal: IPty): void {
  const { ptsName } = terminal as IPty & { ptsName: string };
  if (process.getuid?.() === 0) chownSync(ptsName, user.uid, -1);
}

const signalName = (number: number): NodeJS.Signals =>
  (Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? 'SIGKILL') as NodeJS.Signals;
