import type { ResumeResult } from '../../workflows/messages.js';
import type { SandboxView } from '../../workflows/view.js';
import type { Asleep } from '../gateway/wire.js';
import type { ApiDeps } from './deps.js';
import { ApiError, codeOf } from './errors.js';
import { resumeJoined } from './resume-joined.js';

/** What a sandbox that traffic woke gets at least (README, "Traffic wakes a sandbox that asked for it"). */
const LEAST_TIMEOUT_MS = 300_000;
/** A resume that failed is not tried again by traffic for so long: anybody may send requests, and each try costs. */
const AGAIN_AFTER_MS = 5_000;
const MOST_REMEMBERED = 10_000;

/**
 * For the data plane: wakes a sandbox because a request to it came, if it was made so that traffic may. However many
 * ask, here or at other apis, connects among them, it is one update. Answers when the machine runs.
 *
 * @param asleep how the host found it
 * @throws Error with a code of `workflows/errors.ts`: `NotFound` also for one that traffic may not wake
 */
export function createWake(
  deps: Pick<ApiDeps, 'client' | 'directory' | 'join' | 'updateIds' | 'maxTimeoutMs' | 'admission'>,
): (id: string, asleep: Asleep) => Promise<void> {
  const failures = new Map<string, { error: unknown; until: number }>();

  async function wake(id: string, asleep: Asleep): Promise<void> {
    const { found, missing } = await deps.directory.find(id);
    if (found === undefined && missing.length > 0) {
      throw new ApiError('Unavailable', `these hosts do not answer: ${missing.join(', ')}`);
    }
    if (found?.spec.autoResume !== true) throw new ApiError('NotFound', `traffic does not wake sandbox ${id}`);
    if (found.status === 'paused' && found.image?.kind === 'disk') {
      throw new ApiError('NotFound', `sandbox ${id} keeps its disk alone: traffic does not boot it, a connect does`);
    }
    // Woken since: there is nothing to ask for.
    if (asleep === 'saved' && found.status === 'running') return;
    const timeoutMs = Math.min(LEAST_TIMEOUT_MS, deps.maxTimeoutMs);
    const update = (): Promise<ResumeResult<SandboxView>> => resumeJoined(deps, found, { mode: 'traffic', timeoutMs });
    try {
      await deps.join.run(`connect ${id}`, update).outcome;
      failures.delete(id);
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'OutcomeUnknown' && code !== 'Unavailable') {
        if (failures.size >= MOST_REMEMBERED) failures.clear();
        failures.set(id, { error, until: performance.now() + AGAIN_AFTER_MS });
      }
      throw error;
    }
  }

  return async (id, asleep) => {
    const failed = failures.get(id);
    if (failed !== undefined && failed.until > performance.now()) throw failed.error;
    await deps.join.run(`wake ${id}`, () => wake(id, asleep)).outcome;
  };
}
