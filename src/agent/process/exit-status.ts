import { constants } from 'node:os';

export interface ProcessEnd {
  exitCode: number;
  exited: boolean;
  status: string;
  error?: string;
}

/** As Go words them: clients were written against that. */
const WORDS: Partial<Record<NodeJS.Signals, string>> = {
  SIGHUP: 'hangup',
  SIGINT: 'interrupt',
  SIGQUIT: 'quit',
  SIGILL: 'illegal instruction',
  SIGTRAP: 'trace/breakpoint trap',
  SIGABRT: 'aborted',
  SIGBUS: 'bus error',
  SIGFPE: 'floating point exception',
  SIGKILL: 'killed',
  SIGSEGV: 'segmentation fault',
  SIGPIPE: 'broken pipe',
  SIGALRM: 'alarm clock',
  SIGTERM: 'terminated',
};

export function exitedWith(exitCode: number): ProcessEnd {
  const status = `exit status ${exitCode}`;
  return exitCode === 0 ? { exitCode, exited: true, status } : { exitCode, exited: true, status, error: status };
}

const OUT_OF_MEMORY = 'the sandbox ran out of memory, and the kernel ended a program';
/** How a shell tells that SIGKILL ended what it ran. */
const KILLED_IN_SHELL = 137;

/** Says so where the kernel's search for memory may have ended the process, or one that it waited for. */
export function forWantOfMemory(end: ProcessEnd): ProcessEnd {
  if (end.status !== 'signal: killed' && end.exitCode !== KILLED_IN_SHELL) return end;
  return { ...end, error: `${end.error ?? end.status}: ${OUT_OF_MEMORY}` };
}

/** Of a process that was started before the agent itself was started again. */
export function endedUnseen(): ProcessEnd {
  const error = 'the exit code is not known: the agent was started again while the process ran';
  return { exitCode: -1, exited: true, status: 'ended', error };
}

export function killedBy(signal: NodeJS.Signals): ProcessEnd {
  const status = `signal: ${WORDS[signal] ?? `signal ${constants.signals[signal]}`}`;
  return { exitCode: -1, exited: false, status, error: status };
}
