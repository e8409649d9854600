import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { ReadStream } from 'node:tty';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { ProcessConfigSchema } from '../../gen/process/process_pb.js';
import { startTimeOf, type ProcessRecord } from '../survival/record.js';
import type { Survival } from '../survival/survival.js';
import { endedUnseen } from './exit-status.js';
import { Output } from './output.js';
import { overPipes } from './piped.js';
import type { Entry } from './process-table.js';
import { killGroup, type Running } from './running.js';
import { TerminalInput } from './terminal-input.js';
import { Utf8Cutter } from './utf8-cutter.js';

const LOOK_EVERY_MS = 250;

/** A process that an agent before this one started. It is no child of this one: how it ends, systemd alone hears. */
export function adopt(record: ProcessRecord, survival: Survival): Entry {
  const running = record.terminal ? adoptTerminal(record, survival) : adoptPiped(record, survival);
  running.output.pid = record.pid;
  return { running, tag: record.tag, config: fromJson(ProcessConfigSchema, record.config as JsonValue) };
}

const isAlive = ({ pid, startTime }: ProcessRecord): boolean => startTimeOf(pid) === startTime;

function adoptPiped(record: ProcessRecord, survival: Survival): Running {
  const take = (end: string): number | undefined => survival.takeDescriptor(record.pid, end);
  const [stdin, stdout, stderr] = [take('stdin'), take('stdout'), take('stderr')];
  const reading = (fd: number | undefined): Socket => {
    const socket = fd === undefined ? new Socket() : new Socket({ fd, readable: true, writable: false });
    if (fd === undefined) socket.destroy();
    return socket;
  };
  const writing =
    stdin === undefined ? new Socket().destroy() : new Socket({ fd: stdin, readable: false, writable: true });
  const ours = { stdin, stdout, stderr };
  const pipes = { stdin: writing, stdout: reading(stdout), stderr: reading(stderr), ours };
  const { running, drained } = overPipes(pipes, record.pid, () => !isAlive(record));
  void whenGone(record).then(async () => {
    await drained();
    writing.destroy();
    running.output.end(endedUnseen());
  });
  return running;
}

function adoptTerminal(record: ProcessRecord, survival: Survival): Running {
  const fd = survival.takeDescriptor(record.pid, 'pty');
  const socket = fd === undefined ? undefined : new ReadStream(fd);
  const output = new Output((reading) => socket?.[reading ? 'resume' : 'pause']());
  const cutter = new Utf8Cutter();
  const closed = new Promise<void>((resolve) => {
    if (socket === undefined) return resolve();
    socket.on('data', (data: Buffer) => output.write('pty', cutter.push(data)));
    // EIO: the last program of the terminal has ended.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => resolve());
  });
  const input = new TerminalInput(fd ?? -1, () => socket?.destroyed === false);
  void whenGone(record).then(async () => {
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))]);
    output.write('pty', cutter.rest());
    output.end(endedUnseen());
    socket?.destroy();
  });
  return {
    pid: record.pid,
    terminal: true,
    output,
    descriptors: () => ({ pty: fd }),
    onInputClosed: () => undefined,
    outputsClosed: closed,
    isGone: () => !isAlive(record),
    write: (bytes) => input.write(bytes),
    closeStdin: () => {
      throw new ConnectError('the stdin of a terminal cannot be closed', Code.FailedPrecondition);
    },
    resize: (columns, rows) => {
      if (columns > 0 && rows > 0 && socket?.destroyed === false) resizeTerminal(fd!, columns, rows);
    },
    kill: (signal) => void (isAlive(record) && killGroup(record.pid, signal)),
  };
}

/** The native part of what started it: the package has no object for a terminal that is there already. */
function resizeTerminal(fd: number, columns: number, rows: number): void {
  const native = createRequire(import.meta.url)('@lydell/node-pty-linux-x64/pty.node') as {
    resize: (fd: number, columns: number, rows: number) => void;
  };
  native.resize(fd, columns, rows);
}

function whenGone(record: ProcessRecord): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (isAlive(record)) setTimeout(look, LOOK_EVERY_MS);
      else resolve();
    };
    // Later: who adopts has to see it in the table first.
    setTimeout(look, 0);
  });
}
