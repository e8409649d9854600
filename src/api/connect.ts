import type { Request, RequestHandler } from 'express';
import type { ResumeResult } from '../../workflows/messages.js';
import type { SandboxView } from '../../workflows/view.js';
import type { ApiDeps } from './deps.js';
import { codeOf } from './errors.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { presentSandbox } from './present.js';
import { connectRequestV1, connectRequestV2 } from './schemas.js';
import { timeoutMs } from './timeout-ms.js';
import { resumeJoined } from './resume-joined.js';

const DEFAULT_TIMEOUT_SECONDS = 300;
/** Timeouts are whole seconds: a deadline that is off by less is not worth an update. */
const NEAR_ENOUGH_MS = 1_000;

/** `POST /sandboxes/{id}/connect` and its v2: 200 when it was running, 201 when this woke it. */
export const connect =
  (deps: ApiDeps, version: 'v1' | 'v2'): RequestHandler =>
  async (request, response) => {
    const { seconds, memory } = wantedBy(request, version);
    const wanted = timeoutMs(seconds, deps.maxTimeoutMs);
    const view = await findSandbox(deps, request, response);
    const result = await connectTo(deps, view, wanted, memory);
    response.status(result.resumed ? 201 : 200).json(presentSandbox(deps, result.view));
  };

function wantedBy(request: Request, version: 'v1' | 'v2'): { seconds: number; memory: boolean } {
  if (version === 'v1') return { seconds: parse(connectRequestV1, request.body).timeout, memory: true };
  const { timeout, memory } = parse(connectRequestV2, request.body);
  return { seconds: timeout ?? DEFAULT_TIMEOUT_SECONDS, memory: memory !== false };
}

/**
 * However many connect at once, the sandbox is woken by one update. Who joined another's then extends the deadline, if
 * what that one asked for is not enough.
 */
async function connectTo(
  deps: ApiDeps,
  known: SandboxView,
  wanted: number,
  memory: boolean,
): Promise<ResumeResult<SandboxView>> {
  const { id } = known.spec;
  const neededUntil = Date.now() + wanted - NEAR_ENOUGH_MS;
  const { outcome, joined } = deps.join.run(`${memory ? 'connect' : 'reboot'} ${id}`, () =>
    resumeJoined(deps, known, { mode: 'connect', timeoutMs: wanted, ...(memory ? {} : { memory }) }),
  );
  let result = await outcome.catch((error: unknown) => {
    if (codeOf(error) !== 'NotFound') throw error;
    // It may have been a visitor's, of an api of whichever: what does not wake for traffic does for its owner.
    const own = { ...known, status: 'running' as const };
    return deps.join.run(`connect again ${id}`, () =>
      resumeJoined(deps, own, { mode: 'connect', timeoutMs: wanted, ...(memory ? {} : { memory }) }),
    ).outcome;
  });
  while (joined && result.view.endAt < neededUntil) {
    // A connect of its own, and not a new timeout: the sandbox may have been paused again meanwhile.
    const extension = deps.join.run(`extend ${id}`, () =>
      resumeJoined(deps, { ...known, status: 'running' }, { mode: 'connect', timeoutMs: wanted }),
    );
    const extended = await extension.outcome;
    result = { view: extended.view, resumed: result.resumed || extended.resumed };
    if (!extension.joined) break;
  }
  return result;
}
