import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Code, ConnectError } from '@connectrpc/connect';
import { withNormalOomScore } from '../oom-score.js';
import { openPipes, type CommandPipes } from './command-pipes.js';
import type { Command } from './command.js';
import { drained } from './drained.js';
import { exitedWith, killedBy } from './exit-status.js';
import { Output } from './output.js';
import { passFairly, type Passing } from './pass-fairly.js';
import { killGroup, refuseBacklog, type Running } from './running.js';

/** Starts a command over pipes, in a session of its own. */
export async function startPiped(command: Command, withStdin: boolean): Promise<Running> {
  const pipes = openPipes(command.user.uid);
  const { stdin } = pipes;
  if (!withStdin) stdin.destroy();
  const readable = readPipes(pipes);
  const child = await spawned(command, pipes, withStdin);
  const isGone = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const running = runningOver(readable, pipes, child.pid!, isGone);
  child.once('exit', (code, signal) => {
    const end = signal === null ? exitedWith(code ?? -1) : killedBy(signal);
    void readable.drained().then(() => {
      stdin.destroy();
      running.output.end(end);
    });
  });
  return running;
}

interface Ends extends Pick<CommandPipes, 'stdin' | 'stdout' | 'stderr'> {
  ours: ReturnType<Running['descriptors']>;
}

interface Readable {
  output: Output;
  /** No program has an output open any more. */
  closed: Promise<unknown>;
  /** See `drained`. */
  drained: () => Promise<void>;
}

/** A process that runs over pipes already. */
export function overPipes(
  pipes: Ends,
  pid: number,
  isGone: () => boolean,
): { running: Running; drained: () => Promise<void> } {
  const readable = readPipes(pipes);
  return { running: runningOver(readable, pipes, pid, isGone), drained: readable.drained };
}

function readPipes({ stdin, stdout, stderr, ours }: Ends): Readable {
  const closed = Promise.all(
    [stdout, stderr].map((stream) => stream.closed || new Promise((resolve) => stream.once('close', resolve))),
  );
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined);
  const readers: Passing[] = [];
  let reading = true;
  const output = new Output((wanted) => {
    reading = wanted;
    for (const { goOn } of readers) goOn();
  });
  readers.push(
    passFairly(stdout, output, 'stdout', () => reading),
    passFairly(stderr, output, 'stderr', () => reading),
  );
  const outputs = [
    { stream: stdout, fd: ours.stdout },
    { stream: stderr, fd: ours.stderr },
  ];
  return {
    output,
    closed,
    drained: async () => {
      await drained(outputs, closed);
      for (const { flush } of readers) flush();
    },
  };
}

function runningOver(
  { output, closed }: Readable,
  { stdin, stdout, stderr, ours }: Ends,
  pid: number,
  isGone: () => boolean,
): Running {
  const open = (stream: Socket, descriptor: number | undefined): number | undefined =>
    stream.destroyed ? undefined : descriptor;
  output.pid = pid;
  return {
    pid,
    terminal: false,
    output,
    descriptors: () => ({
      stdin: open(stdin, ours.stdin),
      stdout: open(stdout, ours.stdout),
      stderr: open(stderr, ours.stderr),
    }),
    onInputClosed: (callback) => void stdin.once('close', callback),
    outputsClosed: closed,
    isGone,
    write: (bytes) => writeTo(stdin, bytes),
    closeStdin: () => void openStdin(stdin).end(() => stdin.destroy()),
    resize: () => {
      throw new ConnectError('the process has no terminal', Code.Internal);
    },
    kill: (signal) => {
      if (!isGone()) killGroup(pid, signal);
    },
  };
}

/** @throws ConnectError when the kernel does not take the command. */
async function spawned(command: Command, pipes: CommandPipes, withStdin: boolean): Promise<ChildProcess> {
  const [stdin, ...outputs] = pipes.stdio;
  try {
    const child = withNormalOomScore(() =>
      spawn(command.file, command.args, {
        cwd: command.cwd,
        env: command.env,
        detached: true,
        stdio: [withStdin ? stdin : 'ignore', ...outputs],
      }),
    );
    await once(child, 'spawn');
    return child;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    for (const stream of [pipes.stdin, pipes.stdout, pipes.stderr]) stream.destroy();
    const full = code === 'EAGAIN' || code === 'EMFILE' || code === 'ENOMEM';
    throw new ConnectError(`cannot start: ${message}`, full ? Code.ResourceExhausted : Code.InvalidArgument);
  } finally {
    for (const end of pipes.stdio) closeSync(end);
  }
}

function openStdin(stdin: Socket): Socket {
  if (!stdin.writable) throw new ConnectError('stdin is not open', Code.Internal);
  return stdin;
}

function writeTo(stdin: Socket, bytes: Uint8Array): Promise<void> {
  openStdin(stdin);
  refuseBacklog(stdin, bytes);
  return new Promise((resolve, reject) => {
    stdin.write(bytes, (error) => {
      if (error) reject(new ConnectError(`cannot write to stdin: ${error.message}`, Code.Internal));
      else resolve();
    });
  });
}
