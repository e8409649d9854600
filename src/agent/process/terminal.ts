import { constants } from 'node:os';
import { Code, ConnectError } from '@connectrpc/connect';
import { spawn } from '@lydell/node-pty';
import type { PTY_Size } from '../../gen/process/process_pb.js';
import type { Command } from './command.js';
import { exitedWith, killedBy } from './exit-status.js';
import { Output } from './output.js';
import { killGroup, type Running } from './running.js';
import { Utf8Cutter } from './utf8-cutter.js';

/** Starts a command as the leader of a session on a terminal of its own. */
export function startOnTerminal(command: Command, size: PTY_Size | undefined): Running {
  const terminal = spawn(command.file, command.args, {
    cwd: command.cwd,
    env: command.env,
    cols: size?.cols || 80,
    rows: size?.rows || 24,
    encoding: null,
  });
  const output = new Output((reading) => terminal[reading ? 'resume' : 'pause']());
  const cutter = new Utf8Cutter();
  terminal.onData((data) => output.write('pty', cutter.push(data as unknown as Buffer)));
  terminal.onExit(({ exitCode, signal }) => {
    output.write('pty', cutter.rest());
    output.end(signal ? killedBy(signalName(signal)) : exitedWith(exitCode));
  });
  return {
    pid: terminal.pid,
    terminal: true,
    output,
    write: async (bytes) => terminal.write(Buffer.from(bytes) as unknown as string),
    closeStdin: () => {
      throw new ConnectError('the stdin of a terminal cannot be closed', Code.FailedPrecondition);
    },
    resize: (columns, rows) => {
      if (columns > 0 && rows > 0) terminal.resize(columns, rows);
    },
    kill: (signal) => killGroup(terminal.pid, signal),
  };
}

const signalName = (number: number): NodeJS.Signals =>
  (Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? 'SIGKILL') as NodeJS.Signals;
