import { execFile, execFileSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { execa } from 'execa';
import type { Operation } from './clients.js';

/** Without Go there is no checker, and these tests are left out. */
export const goIsThere = ((): boolean => {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write(
      'linearizability: Go is not installed, so its checker cannot be built; these tests are skipped\n',
    );
    return false;
  }
})();

/** Builds the checker (once per change of it). @returns its program */
export async function buildChecker(): Promise<string> {
  const script = path.resolve(import.meta.dirname, '../../setup/linearizability-checker.sh');
  return (await promisify(execFile)(script, { maxBuffer: 1 << 26 })).stdout.trim();
}

/** @returns whether the history is linearizable, and the checker's words */
export async function check(checker: string, history: Operation[]): Promise<{ linearizable: boolean; said: string }> {
  const input = history.map((operation) => `${JSON.stringify(operation)}\n`).join('');
  const { exitCode, stdout, stderr } = await execa(checker, [], { input, reject: false });
  if (exitCode !== 0 && exitCode !== 1) throw new Error(`the linearizability checker failed: ${stderr}`);
  return { linearizable: exitCode === 0, said: stdout };
}
