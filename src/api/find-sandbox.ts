import type { Request, Response } from 'express';
import { SANDBOX_ID_PATTERN } from '../../workflows/names.js';
import type { SandboxView } from '../../workflows/view.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError } from './errors.js';

/**
 * The sandbox that the path names, if it is the caller's and has not ended. Asks the hosts' indexes; for one that no
 * host has while a host is down, or that a host has damaged (or with `evenIfUnlisted`), its workflow.
 *
 * @throws ApiError `NotFound`, also for another tenant's sandbox; `ImageDamaged` for one that its host cannot believe; `Unavailable` when it cannot be told
 */
export async function findSandbox(
  deps: ApiDeps,
  request: Request,
  response: Response,
  options: { evenIfUnlisted: boolean } = { evenIfUnlisted: false },
): Promise<SandboxView> {
  const id = String(request.params['id']);
  if (!SANDBOX_ID_PATTERN.test(id)) throw notFound(id);
  const { found, missing, unreadable } = await deps.directory.find(id);
  let view = found;
  if (view === undefined && (missing.length > 0 || unreadable === true || options.evenIfUnlisted))
    view = await deps.client.get(id, { onlyOpen: true });
  if (view === undefined || view.spec.warm === true || view.spec.tenant !== tenantOf(response)) throw notFound(id);
  if (view.status === 'killed' || view.status === 'failed') throw notFound(id);
  if (unreadable === true && !options.evenIfUnlisted) throw damaged(id);
  return view;
}

/** Only for the owner. */
const damaged = (id: string): ApiError =>
  new ApiError(
    'ImageDamaged',
    `what the host keeps of sandbox ${id} is damaged or was changed by somebody else, and is not used. Kill the sandbox, or ask the operator to put its manifest back.`,
  );

export const notFound = (id: string): ApiError =>
  new ApiError(
    'NotFound',
    `sandbox ${JSON.stringify(id.slice(0, 64))} was not found: it never was, was killed, or has expired`,
  );
