import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

const AGAIN_AFTER_MS = 3_000;

/**
 * Calls `changed` whenever somebody changes this table, or when that may have been missed; at once, as `nft monitor` says it.
 * What it does not say has to be found by looking.
 *
 * @returns ends it
 */
export function followChanges(table: string, changed: () => void): () => void {
  const speaks = new RegExp(`\\b${table}\\b|error|lost`, 'i');
  let monitor: ChildProcess | undefined;
  let again: NodeJS.Timeout | undefined;
  let over = false;
  const start = (): void => {
    // It must not outlive this process, however that ends.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'nft', 'monitor'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    monitor = child;
    // A program that could not be started, for want of descriptors, has no outputs.
    for (const stream of [child.stdout, child.stderr] as (Readable | undefined)[])
      if (stream !== undefined)
        createInterface({ input: stream }).on('line', (line) => {
          if (speaks.test(line)) changed();
        });
    child.on('error', () => undefined);
    child.once('close', () => {
      if (over) return;
      changed();
      again = setTimeout(start, AGAIN_AFTER_MS);
    });
  };
  start();
  return () => {
    over = true;
    clearTimeout(again);
    monitor?.kill('SIGKILL');
  };
}
