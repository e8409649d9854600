import { Code, ConnectError } from '@connectrpc/connect';
import type { Output } from './output.js';

/** A process that the agent started, over pipes or on a terminal. */
export interface Running {
  readonly pid: number;
  readonly terminal: boolean;
  readonly output: Output;
  /** What the agent has open of it, by name; without those that are closed. */
  descriptors(): Partial<Record<'stdin' | 'stdout' | 'stderr' | 'pty', number | undefined>>;
  onInputClosed(callback: () => void): void;
  /** Resolves when no program has an output open any more: those in the background may outlive the process. */
  readonly outputsClosed: Promise<unknown>;
  /** Whether the process has ended; the rest of its output may still be on its way. */
  isGone(): boolean;
  /** Resolves when the bytes were handed over. @throws ConnectError when there is no input to write to. */
  write(bytes: Uint8Array): Promise<void>;
  closeStdin(): void;
  resize(columns: number, rows: number): void;
  /** Signals the whole process group, unless the process has ended: what it left in the background is not meant. */
  kill(signal: 'SIGKILL' | 'SIGTERM'): void;
}

const BACKLOG_BYTES = 8 * 1024 * 1024;

/** @throws ConnectError resource_exhausted when a process does not read the input that it has already been sent. */
export function refuseBacklog(input: { writableLength: number }, more: Uint8Array): void {
  if (input.writableLength === 0 || input.writableLength + more.length <= BACKLOG_BYTES) return;
  throw new ConnectError(
    `the process does not read its input: ${input.writableLength} bytes are waiting`,
    Code.ResourceExhausted,
  );
}

export function killGroup(pid: number, signal: 'SIGKILL' | 'SIGTERM'): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
