import type { Socket } from 'node:net';
import { unreadBytes } from '../libc.js';

const LOOK_EVERY_MS = 20;
/** A program behind the command's shell, as in `exec > >(tee log)`, may need so long for its last words. */
const QUIET_MS = 200;
/** One in the background may print for ever. */
const LONGEST_MS = 1_000;

/** An output of a command. */
export interface OutputEnd {
  stream: Socket;
  fd: number | undefined;
}

/**
 * To be called when a command has ended. Resolves when all that it has printed was passed on, and no more comes: the
 * outputs are closed, or quiet. Programs in the background may have them open for much longer.
 */
export function drained(outputs: OutputEnd[], closed: Promise<unknown>): Promise<void> {
  const owed = outputs.map(bytesSoFar);
  const isPassed = ({ stream }: OutputEnd, index: number): boolean =>
    stream.destroyed || passedBytes(stream) >= owed[index]!;
  const sum = (): number => outputs.reduce((bytes, { stream }) => bytes + passedBytes(stream), 0);
  const began = performance.now();
  let before = sum();
  let quietSince = began;
  return new Promise((resolve) => {
    const look = (): void => {
      const now = performance.now();
      const bytes = sum();
      if (bytes !== before) quietSince = now;
      before = bytes;
      const isOver = now - quietSince >= QUIET_MS || now - began >= LONGEST_MS;
      if (isOver && outputs.every(isPassed)) resolve();
      else timer = setTimeout(look, LOOK_EVERY_MS);
    };
    let timer = setTimeout(look, LOOK_EVERY_MS);
    void closed.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const passedBytes = (stream: Socket): number => stream.bytesRead - stream.readableLength;

function bytesSoFar({ stream, fd }: OutputEnd): number {
  return stream.destroyed || fd === undefined ? 0 : stream.bytesRead + unreadBytes(fd);
}
