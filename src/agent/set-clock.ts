import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { HttpError } from './http-error.js';

/** x86-64's number of clock_settime, and CLOCK_REALTIME; perl is part of every Debian. */
const PROGRAM = `$| = 1;
while (<STDIN>) { print syscall(227, 0, pack("qq", split)) == 0 ? "ok\\n" : "$!\\n" }`;

type Helper = ChildProcessByStdio<Writable, Readable, null>;
let helper: Helper | undefined;

/**
 * Sets the wall clock, to the microsecond. Node cannot, so a process that can waits beside it: to start one at the moment
 * of a restore, when everything is cold, takes a tenth of a second under emulation.
 * @throws HttpError 500 when the kernel refuses.
 */
export async function setClock(timestamp: Date): Promise<void> {
  const { stdin, stdout } = (helper ??= start());
  const lines = createInterface({ input: stdout });
  try {
    const answer = once(lines, 'line', { signal: AbortSignal.timeout(5_000) }) as Promise<[string]>;
    const ms = timestamp.getTime();
    stdin.write(`${Math.trunc(ms / 1000)} ${(ms % 1000) * 1_000_000}\n`);
    const [said] = await answer;
    if (said !== 'ok') throw new Error(said);
  } catch (error) {
    throw new HttpError(500, `the clock could not be set: ${(error as Error).message}`);
  } finally {
    lines.close();
  }
}

function start(): Helper {
  const started = spawn('perl', ['-e', PROGRAM], { stdio: ['pipe', 'pipe', 'ignore'] });
  const gone = (): void => {
    if (helper === started) helper = undefined;
  };
  started.once('error', gone);
  started.once('exit', gone);
  started.stdin.on('error', gone);
  return started;
}
