import type { z } from 'zod';
import type { SandboxSpec } from '../../workflows/view.js';
import { newTokenNonce } from '../keys/access-token.js';
import { sealField } from '../keys/sealed-field.js';
import type { ApiDeps } from './deps.js';
import type { Placement } from './placement.js';
import type { newSandbox } from './schemas.js';

/** What a create asks for, but for the sandbox's id and place. */
export interface Wanted {
  tenant: string;
  body: z.output<typeof newSandbox>;
  timeoutMs: number;
  /** Only with an `Idempotency-Key`. */
  digest: string | undefined;
}

/** The request as its workflow gets it: environment variables sealed for this id. */
export function sandboxSpec(
  deps: Pick<ApiDeps, 'fieldsKey' | 'pausedRetentionMs'>,
  id: string,
  { tenant, body, timeoutMs, digest }: Wanted,
  { hostId, templateId, template }: Placement,
): SandboxSpec {
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
    tokenNonce: newTokenNonce(),
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
