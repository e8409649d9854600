import type { RequestHandler } from 'express';
import type { z } from 'zod';
import type { SandboxSpec } from '../../workflows/view.js';
import { sealField } from '../keys/sealed-field.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError, codeOf } from './errors.js';
import { parse } from './parse.js';
import { place } from './placement.js';
import { presentSandbox } from './present.js';
import { idempotentSandboxId, randomSandboxId } from './sandbox-id.js';
import { idempotency, newSandbox } from './schemas.js';
import { timeoutMs } from './timeout-ms.js';

/** Contract 2.1: what an absent timeout means. */
const DEFAULT_TIMEOUT_SECONDS = { v1: 15, v2: 300 };

/** `POST /sandboxes` and `POST /v2/sandboxes`: 201 when the sandbox runs. */
export const create =
  (deps: ApiDeps, version: 'v1' | 'v2'): RequestHandler =>
  async (request, response) => {
    const body = parse(newSandbox, request.body);
    const { key: repeatKey } = parse(idempotency, { key: request.get('idempotency-key') });
    const timeout = timeoutMs(body.timeout ?? DEFAULT_TIMEOUT_SECONDS[version], deps.maxTimeoutMs);
    const { found: reports, missing } = await deps.directory.reports();
    const { hostId, template } = place(reports, missing, body.templateID);

    const tenant = tenantOf(response);
    const id = repeatKey === undefined ? randomSandboxId() : idempotentSandboxId(deps.tokensKey, tenant, repeatKey);
    const envVars = body.envVars ?? {};
    const spec: SandboxSpec = {
      id,
      tenant,
      hostId,
      templateId: body.templateID,
      templateKey: template.templateKey,
      cpuCount: template.cpuCount,
      memoryMiB: template.memoryMiB,
      diskMiB: template.diskMiB,
      envdVersion: template.envdVersion,
      metadata: body.metadata ?? {},
      ...(Object.keys(envVars).length > 0
        ? { sealedEnv: sealField(deps.fieldsKey, id, 'envVars', JSON.stringify(envVars)) }
        : {}),
      allowInternetAccess: body.allow_internet_access !== false && body.network?.denyInternet !== true,
      ...trafficRules(body.network),
      timeoutMs: timeout,
      onTimeout: body.autoPause === true ? 'pause' : 'kill',
      autoResume: body.autoResume?.enabled === true,
      pausedRetentionMs: deps.pausedRetentionMs,
    };
    const { outcome } = deps.join.run(`create ${id}`, () =>
      deps.client.create(spec, { mayExist: repeatKey !== undefined }),
    );
    const view = await outcome.catch((error: unknown) => {
      throw withId(error, id);
    });
    response.status(201).json(presentSandbox(deps, view));
  };

/** Only what differs from the ordinary stands in a spec. */
const trafficRules = (
  network: z.output<typeof newSandbox>['network'],
): Pick<SandboxSpec, 'allowPublicTraffic' | 'maskRequestHost'> => ({
  ...(network?.restrictTraffic === true ? { allowPublicTraffic: false } : {}),
  ...(network?.maskRequestHost === undefined ? {} : { maskRequestHost: network.maskRequestHost }),
});

/** The caller has no other way to learn which sandbox to look for. */
function withId(error: unknown, id: string): unknown {
  if (codeOf(error) !== 'OutcomeUnknown') return error;
  return new ApiError(
    'OutcomeUnknown',
    `sandbox ${id} may or may not come up: ${(error as Error).message}. Look with GET /sandboxes/${id}; DELETE ends it.`,
  );
}
