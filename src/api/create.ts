import type { RequestHandler } from 'express';
import type { z } from 'zod';
import type { SandboxSpec, SandboxView } from '../../workflows/view.js';
import { sealField } from '../keys/sealed-field.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError, codeOf } from './errors.js';
import { answerAgain, requestDigest, requireSameRequest } from './idempotency.js';
import { parse } from './parse.js';
import { place } from './placement.js';
import { presentSandbox } from './present.js';
import { idempotentSandboxId, randomSandboxId } from './sandbox-id.js';
import { idempotency, newSandbox } from './schemas.js';
import { plainTemplateName, templateNotFound } from './template-name.js';
import { timeoutMs } from './timeout-ms.js';

/** Contract 2.1: what an absent timeout means. */
const DEFAULT_TIMEOUT_SECONDS = { v1: 15, v2: 300 };

interface Wanted {
  id: string;
  tenant: string;
  body: z.output<typeof newSandbox>;
  timeoutMs: number;
  /** Only with an `Idempotency-Key`. */
  digest: string | undefined;
}

/** `POST /sandboxes` and `POST /v2/sandboxes`: 201 when the sandbox runs. */
export const create =
  (deps: ApiDeps, version: 'v1' | 'v2'): RequestHandler =>
  async (request, response) => {
    const given = parse(newSandbox, request.body);
    const { key } = parse(idempotency, { key: request.get('idempotency-key') });
    const body = { ...given, timeout: given.timeout ?? DEFAULT_TIMEOUT_SECONDS[version] };
    const tenant = tenantOf(response);
    const wanted: Wanted = {
      id: key === undefined ? randomSandboxId() : idempotentSandboxId(deps.tokensKey, tenant, key),
      tenant,
      body,
      timeoutMs: timeoutMs(body.timeout, deps.maxTimeoutMs),
      digest: key === undefined ? undefined : requestDigest(deps.tokensKey, body),
    };
    const { outcome } = deps.join.run(`create ${wanted.id} ${wanted.digest ?? ''}`, () => createOnce(deps, wanted));
    const view = await outcome.catch((error: unknown) => {
      throw withId(error, wanted.id);
    });
    response.status(201).json(presentSandbox(deps, view));
  };

/** A repeat is recognised before a place is looked for: the first may have taken the last one. */
async function createOnce(deps: ApiDeps, wanted: Wanted): Promise<SandboxView> {
  const { id, digest } = wanted;
  if (digest === undefined) return deps.client.create(await specOf(deps, wanted), { mayExist: false });
  const known = await deps.client.get(id);
  if (known !== undefined) return answerAgain(deps.client, known, digest);
  const view = await deps.client.create(await specOf(deps, wanted), { mayExist: true });
  return requireSameRequest(view, digest);
}

async function specOf(deps: ApiDeps, { id, tenant, body, timeoutMs, digest }: Wanted): Promise<SandboxSpec> {
  const name = plainTemplateName(body.templateID, tenant);
  if (name === undefined) throw templateNotFound(body.templateID);
  const { found: reports, missing } = await deps.directory.reports();
  const { hostId, templateId, template } = place(reports, missing, name);
  const envVars = body.envVars ?? {};
  return {
    id,
    tenant,
    hostId,
    templateId,
    templateKey: template.templateKey,
    cpuCount: template.cpuCount,
    memoryMiB: template.memoryMiB,
    diskMiB: template.diskMiB,
    envdVersion: template.envdVersion,
    metadata: body.metadata ?? {},
    ...(Object.keys(envVars).length > 0
      ? { sealedEnv: sealField(deps.fieldsKey, id, 'envVars', JSON.stringify(envVars)) }
      : {}),
    ...(digest === undefined ? {} : { requestDigest: digest }),
    allowInternetAccess: body.allow_internet_access !== false && body.network?.denyInternet !== true,
    ...trafficRules(body.network),
    timeoutMs,
    onTimeout: body.autoPause === true ? 'pause' : 'kill',
    ...(body.autoPauseMemory === false ? { autoPauseKeeps: 'disk' as const } : {}),
    autoResume: body.autoResume?.enabled === true,
    pausedRetentionMs: deps.pausedRetentionMs,
  };
}

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
