import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { CrashPoint, Reached } from './crash-points.js';

/** What the switch's file may say: end the process there, or let the step fail there. */
const ORDER = /^(?<point>[a-z-]+\.[a-z-]+)(?: (?<what>crash|fail))?$/;

/** Production: nothing. */
export const noCrashes: Reached = () => undefined;

/**
 * For tests of crashes: `file` names one point a line (`pause.saved`, or `pause.saved fail`). At the first of them that
 * is reached its line is taken out, and this process kills itself; with `fail`, the step fails there instead.
 */
export function crashSwitch(file: string, kill: () => void = () => process.kill(process.pid, 'SIGKILL')): Reached {
  return (point) => {
    const what = take(file, point);
    if (what === 'crash') kill();
    if (what === 'fail') throw new Error(`failed at ${point}, as a test asked`);
  };
}

function take(file: string, point: CrashPoint): string | undefined {
  let lines: string[];
  try {
    lines = readFileSync(file, 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const at = lines.findIndex((line) => ORDER.exec(line)?.groups?.['point'] === point);
  if (at < 0) return undefined;
  const [line] = lines.splice(at, 1);
  if (lines.some((left) => left !== '')) writeFileSync(file, lines.join('\n'));
  else rmSync(file);
  return ORDER.exec(line!)?.groups?.['what'] ?? 'crash';
}
