import type { Output } from './output.js';

/** A process that the agent started, over pipes or on a terminal. */
export interface Running {
  readonly pid: number;
  readonly terminal: boolean;
  readonly output: Output;
  /** Resolves when the bytes were handed over. @throws ConnectError when there is no input to write to. */
  write(bytes: Uint8Array): Promise<void>;
  closeStdin(): void;
  resize(columns: number, rows: number): void;
  /** Signals the whole process group. */
  kill(signal: 'SIGKILL' | 'SIGTERM'): void;
}

export function killGroup(pid: number, signal: 'SIGKILL' | 'SIGTERM'): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
