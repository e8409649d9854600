import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import { wholeView } from '../../workflows/view.js';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { presentSandbox } from './present.js';
import { admittedResume } from './resume-joined.js';
import { resumeRequest } from './schemas.js';
import { timeoutMs } from './timeout-ms.js';

const DEFAULT_TIMEOUT_SECONDS = 15;

/** `POST /sandboxes/{id}/resume`, deprecated: 201, or 409 when it runs already. */
export const resume =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const body = parse(resumeRequest, request.body);
    const timeout = timeoutMs(body.timeout ?? DEFAULT_TIMEOUT_SECONDS, deps.maxTimeoutMs);
    const view = await findSandbox(deps, request, response);
    const { id } = view.spec;
    const onTimeout = body.autoPause === true ? ('pause' as const) : ('kill' as const);
    const input = {
      mode: 'resume' as const,
      timeoutMs: timeout,
      ...(typeof body.autoPause === 'boolean' ? { onTimeout } : {}),
    };
    // Not joined by name: "was it already running?" has an answer for each caller.
    const result = await admittedResume(deps, view, input, () =>
      deps.client.resume(id, input, { updateId: `resume-only:${randomUUID()}` }),
    );
    response.status(201).json(presentSandbox(deps, wholeView(view.spec, result.view)));
  };
