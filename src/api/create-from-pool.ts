import { setTimeout as delay } from 'node:timers/promises';
import type { SandboxSpec, SandboxView } from '../../workflows/view.js';
import type { HostReport } from '../gateway/wire.js';
import type { ApiDeps } from './deps.js';
import { ApiError, codeOf } from './errors.js';
import type { Placement } from './placement.js';
import { naming } from './unknown-outcome.js';

/** Of warm machines that are gone when they are asked for; then one is made. */
const MOST_TRIES = 4;
/** A create that has waited for so long makes no second try: it would take longer than clients wait. */
const FALL_BACK_WITHIN_MS = 20_000;
const MOST_REMEMBERED = 10_000;

const GIVE_UP_EVERY_MS = 5_000;
const GIVE_UP_TRIES = 60;

/** Warm machines that this api asks for, or asked for without an answer: not for another create, whatever the hosts say. */
export class AskedFor {
  readonly #ids = new Set<string>();

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(id: string): void {
    const [oldest] = this.#ids;
    if (this.#ids.size >= MOST_REMEMBERED && oldest !== undefined) this.#ids.delete(oldest);
    this.#ids.add(id);
  }

  /** It was answered, or certainly not asked. */
  remove(id: string): void {
    this.#ids.delete(id);
  }
}

/**
 * A create that takes over a machine of the warm pool.
 *
 * @param specFor what the sandbox is to be, given the id and host of a warm machine
 * @returns undefined when none can be had: nothing is left then of what was tried
 * @throws an Error with the code `OutcomeUnknown` or `Unavailable`, or what ended the sandbox while it was created
 */
export async function createFromPool(
  deps: Pick<ApiDeps, 'client' | 'askedFor' | 'log'>,
  reports: readonly HostReport[],
  build: Omit<Placement, 'hostId'>,
  specFor: (id: string, placement: Placement) => SandboxSpec,
): Promise<SandboxView | undefined> {
  const since = performance.now();
  const tried = new Set<string>();
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const found = candidate((id) => tried.has(id) || deps.askedFor.has(id), reports, build.template.templateKey);
    if (found === undefined) return undefined;
    const { id, hostId } = found;
    tried.add(id);
    deps.askedFor.add(id);
    try {
      const view = await naming(id, deps.client.assign(specFor(id, { ...build, hostId })));
      deps.askedFor.remove(id);
      return view;
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'OutcomeUnknown') deps.askedFor.remove(id);
      if (code === 'NotWarm' || code === 'NotFound') continue;
      if (code === 'Superseded') throw new ApiError('NotFound', (error as Error).message);
      if (code === 'OutcomeUnknown') void giveUp(deps, id);
      if (code === 'OutcomeUnknown' || code === 'Unavailable' || performance.now() - since > FALL_BACK_WITHIN_MS) {
        throw error;
      }
      // Its workflow destroys what came of it.
      deps.log.warn({ sandbox: id, err: error }, 'a warm machine could not be used; another one is made');
      return undefined;
    }
  }
  return undefined;
}

/**
 * Whoever was told that this sandbox may come up may end it later. If it has not become theirs, it must not become
 * somebody else's.
 */
async function giveUp({ client, log }: Pick<ApiDeps, 'client' | 'log'>, id: string): Promise<void> {
  for (let tries = 0; tries < GIVE_UP_TRIES; tries++) {
    try {
      await client.discard(id, 'a create that asked for it got no answer');
      return;
    } catch (error) {
      const code = codeOf(error);
      if (code === 'NotWarm' || code === 'NotFound') return;
    }
    await delay(GIVE_UP_EVERY_MS, undefined, { ref: false });
  }
  log.error({ sandbox: id }, 'a warm machine that a create may have got could not be discarded; kill it if it is warm');
}

/** On the host with the most of them, so that they last everywhere. */
function candidate(
  isTaken: (id: string) => boolean,
  reports: readonly HostReport[],
  templateKey: string,
): { id: string; hostId: string } | undefined {
  const hosts = reports.map(({ hostId, warm = [] }) => ({
    hostId,
    ids: warm.filter((machine) => machine.templateKey === templateKey && !isTaken(machine.id)).map(({ id }) => id),
  }));
  const [best] = hosts.sort((a, b) => b.ids.length - a.ids.length);
  const id = best?.ids[0];
  return best === undefined || id === undefined ? undefined : { id, hostId: best.hostId };
}
