import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';
import { withNormalOomScore } from '../oom-score.js';
import type { Command } from './command.js';
import { exitedWith, killedBy } from './exit-status.js';
import { Output, type OutputKind } from './output.js';
import { killGroup, type Running } from './running.js';
import { Utf8Cutter } from './utf8-cutter.js';

/** Starts a command over pipes, in a session of its own. */
export async function startPiped(command: Command, withStdin: boolean): Promise<Running> {
  const child = withNormalOomScore(() =>
    spawn(command.file, command.args, {
      cwd: command.cwd,
      env: command.env,
      detached: true,
      stdio: [withStdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    }),
  );
  const output = new Output((reading) => {
    for (const stream of [child.stdout, child.stderr]) stream?.[reading ? 'resume' : 'pause']();
  });
  child.stdin?.on('error', () => undefined);
  pass(child.stdout, output, 'stdout');
  pass(child.stderr, output, 'stderr');
  child.once('close', (code, signal) => output.end(signal === null ? exitedWith(code ?? -1) : killedBy(signal)));
  await once(child, 'spawn').catch((error: Error) => {
    throw new ConnectError(`cannot start: ${error.message}`, Code.InvalidArgument);
  });
  const pid = child.pid!;
  return {
    pid,
    terminal: false,
    output,
    write: (bytes) => writeTo(child, bytes),
    closeStdin: () => void openStdin(child).end(),
    resize: () => {
      throw new ConnectError('the process has no terminal', Code.Internal);
    },
    kill: (signal) => killGroup(pid, signal),
  };
}

function pass(stream: Readable | null, output: Output, kind: OutputKind): void {
  const cutter = new Utf8Cutter();
  stream?.on('data', (bytes: Buffer) => output.write(kind, cutter.push(bytes)));
  stream?.once('close', () => output.write(kind, cutter.rest()));
}

function openStdin(child: ChildProcess): NonNullable<ChildProcess['stdin']> {
  const { stdin } = child;
  if (stdin === null || !stdin.writable) throw new ConnectError('stdin is not open', Code.Internal);
  return stdin;
}

function writeTo(child: ChildProcess, bytes: Uint8Array): Promise<void> {
  const stdin = openStdin(child);
  return new Promise((resolve, reject) => {
    stdin.write(bytes, (error) => {
      if (error) reject(new ConnectError(`cannot write to stdin: ${error.message}`, Code.Internal));
      else resolve();
    });
  });
}
