/**
 * Loaded by `--import` into the roles of a chaos run: their `Date` stands as many milliseconds aside as the file says that
 * this module's URL names (`?file=`), looked at all the time; no file: not at all. Each process that follows says so in
 * `<file>.followed`: its id and the step. The machine's own clock is not touched.
 * Timers count monotonic time, as they do when a machine's clock is stepped.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const LOOK_EVERY_MS = 100;

const file = new URL(import.meta.url).searchParams.get('file');
const RealDate = Date;
let asideMs = 0;

class SteppedDate extends RealDate {
  constructor(...given: [] | [number | string | Date] | [number, number, ...number[]]) {
    if (given.length === 0) super(RealDate.now() + asideMs);
    else super(...(given as [number]));
  }

  static override now(): number {
    return RealDate.now() + asideMs;
  }
}

function asked(): number {
  try {
    return Number(readFileSync(file!, 'utf8'));
  } catch {
    return 0;
  }
}

function look(): void {
  const byMs = asked();
  if (byMs === asideMs) return;
  asideMs = byMs;
  if (isMainThread) appendFileSync(`${file}.followed`, `${process.pid} ${byMs}\n`);
}

if (file !== null) {
  look();
  setInterval(look, LOOK_EVERY_MS).unref();
  globalThis.Date = SteppedDate as DateConstructor;
}
