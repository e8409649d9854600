import { DoesNotAnswerError, SideProcess } from './side-process.js';

/** Those that were given up and have not died count: they hold memory. */
const MOST = 8;
const MOST_PER_MOUNT = 4;
const IDLE_MS = 30_000;
const WAIT_MS = 8_000;

let count = 0;
const countOf = new Map<string, number>();
const waiting: (() => void)[] = [];
/** Mounts at which one is stuck: another would be, too. */
const stuckAt = new Map<SideProcess, string>();
let idle: { side: SideProcess; timer: NodeJS.Timeout } | undefined;

/**
 * Lends a side process for work on the mount at `point`. One mount that hangs takes a bounded number of them, and the
 * rest of the world has the others.
 */
export async function onTheSide<T>(point: string, about: string, work: (side: SideProcess) => Promise<T>): Promise<T> {
  await untilFree(point, about);
  const release = take(point);
  const side = lend(release);
  try {
    return await work(side);
  } finally {
    if (side.stuck) stuckAt.set(side, point);
    if (side.alive) {
      release();
      keep(side);
    }
  }
}

const isFree = (point: string): boolean =>
  (count < MOST || idle !== undefined) && (countOf.get(point) ?? 0) < MOST_PER_MOUNT;

async function untilFree(point: string, about: string): Promise<void> {
  const giveUpAt = performance.now() + WAIT_MS;
  for (;;) {
    if ([...stuckAt.values()].includes(point)) throw new DoesNotAnswerError(about);
    if (isFree(point)) return;
    const left = giveUpAt - performance.now();
    if (left <= 0) throw new DoesNotAnswerError(about);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function take(point: string): () => void {
  countOf.set(point, (countOf.get(point) ?? 0) + 1);
  let taken = true;
  return () => {
    if (!taken) return;
    taken = false;
    const left = countOf.get(point)! - 1;
    if (left > 0) countOf.set(point, left);
    else countOf.delete(point);
    for (const wake of waiting.splice(0)) wake();
  };
}

const releases = new WeakMap<SideProcess, () => void>();

function lend(release: () => void): SideProcess {
  const kept = idle;
  idle = undefined;
  if (kept !== undefined) clearTimeout(kept.timer);
  if (kept?.side.alive === true) {
    releases.set(kept.side, release);
    return kept.side;
  }
  count += 1;
  const side: SideProcess = new SideProcess(() => {
    count -= 1;
    stuckAt.delete(side);
    if (idle?.side === side) idle = undefined;
    releases.get(side)?.();
    for (const wake of waiting.splice(0)) wake();
  });
  releases.set(side, release);
  return side;
}

function keep(side: SideProcess): void {
  if (idle !== undefined) return side.kill();
  const timer = setTimeout(() => {
    if (idle?.side === side) idle = undefined;
    side.kill();
  }, IDLE_MS);
  idle = { side, timer: timer.unref() };
}
