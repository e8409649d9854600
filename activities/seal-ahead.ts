import { every } from '../src/host/every.js';
import { isNearingPause } from '../src/host/nearing-pause.js';
import { createSealPool, type SealPool } from '../src/sealing/worker-pool.js';
import type { HostContext } from './host-context.js';
import { requireTemplate } from './machine.js';
import { removeImages } from './remove-images.js';
import { withDiskRoom } from './reserve.js';
import { sealRunningMemory } from './seal-memory.js';

const TEND_EVERY_MS = 1_000;
const LOOK_EVERY_MS = 100;

/**
 * Seals the memory of sandboxes that are about to be paused by their timeout while they still run, on a thread of its own
 * (README, "Memory is sealed before the timeout").
 *
 * @param leadMs undefined: never
 * @returns stops it, and waits for what it is in the middle of
 */
export function sealAhead(context: HostContext, leadMs: number | undefined): () => Promise<void> {
  if (leadMs === undefined) return () => Promise.resolve();
  const pool = createSealPool({ workers: 1 });
  const ahead = new SealAhead(context, { leadMs, pool });
  const stop = every(
    TEND_EVERY_MS,
    () => ahead.tend(),
    (error) => context.log.warn({ err: error }, 'could not look for sandboxes that near their timeout'),
  );
  return async () => {
    stop();
    await ahead.stop();
    await pool.close();
  };
}

/** Takes one sandbox after the other. A pause finds out by digests what has changed since. */
export class SealAhead {
  /** Generations that it failed in: not tried again, the pause will say what is the matter. */
  readonly #failed = new Map<string, number>();
  readonly #stopped = new AbortController();
  #working: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: HostContext,
    private readonly options: { leadMs: number; pool: SealPool; now?: () => number },
  ) {}

  /** Works on whatever is due now; not twice at once. */
  tend(): Promise<void> {
    this.#working = this.#sealAll();
    return this.#working;
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the host worker stops'));
    await this.#working;
  }

  async #sealAll(): Promise<void> {
    const { index, log } = this.context;
    for (const id of this.#failed.keys()) if (index.get(id) === undefined) this.#failed.delete(id);
    for (const { id } of index.all()) {
      if (this.#stopped.signal.aborted) return;
      if (!this.#isDue(id)) continue;
      await this.#sealIfRoom(id).catch((error: unknown) => {
        this.#failed.set(id, index.generation(id));
        log.warn(
          { sandbox: id, err: error },
          'memory could not be sealed ahead of a pause; the pause will seal all of it',
        );
      });
    }
  }

  #isDue(id: string): boolean {
    const { index, traffic } = this.context;
    const { leadMs, now = Date.now } = this.options;
    const manifest = index.get(id);
    if (manifest === undefined || this.#failed.get(id) === manifest.generation) return false;
    return isNearingPause(manifest, { idleForMs: traffic.idleForMs(id), now: now(), leadMs });
  }

  /** The file is in addition to the image, which may need all the room that is kept for it. */
  async #sealIfRoom(id: string): Promise<void> {
    const memoryMiB = this.context.index.get(id)?.memoryMiB ?? 0;
    await withDiskRoom(this.context, memoryMiB, () => this.#sealWhileQuiet(id));
  }

  /** Given up, without a trace, as soon as the sandbox is used again or somebody wants to change its machine. */
  async #sealWhileQuiet(id: string): Promise<void> {
    const { traffic, locks, index } = this.context;
    const inUse = new AbortController();
    const begunAt = performance.now();
    const looking = setInterval(() => {
      if (traffic.idleForMs(id) < performance.now() - begunAt) inUse.abort(new Error(`sandbox ${id} is in use again`));
    }, LOOK_EVERY_MS);
    const enough = AbortSignal.any([inUse.signal, this.#stopped.signal]);
    try {
      await locks.holdUntilNeeded(id, index.generation(id), enough, (signal) =>
        this.#seal(id, signal).catch((error: unknown) => {
          if (!signal.aborted) throw error;
        }),
      );
    } finally {
      clearInterval(looking);
    }
  }

  /** Alone with the sandbox. What it writes is recorded after it is durable, and before what it replaces is removed. */
  async #seal(id: string, signal: AbortSignal): Promise<void> {
    const { context } = this;
    const { index, reached } = context;
    const manifest = index.get(id);
    if (manifest === undefined || !this.#isDue(id)) return;
    const template = await requireTemplate(context, manifest.templateKey);
    reached('ahead.begun');
    const basis = await sealRunningMemory(context, manifest, template, this.options.pool, signal);
    reached('ahead.sealed');
    const recorded = await index.change(id, { basis });
    reached('ahead.recorded');
    await removeImages(context, recorded);
    reached('ahead.older-images-removed');
  }
}
