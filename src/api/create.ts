import type { RequestHandler } from 'express';
import type { SandboxView } from '../../workflows/view.js';
import { tenantOf } from './authenticate.js';
import { admitted, claimOf } from './admitted.js';
import { createFromPool } from './create-from-pool.js';
import type { ApiDeps } from './deps.js';
import { answerAgain, requestDigest, requireSameRequest } from './idempotency.js';
import { parse } from './parse.js';
import { chooseBuild, place } from './placement.js';
import { presentSandbox } from './present.js';
import { idempotentSandboxId, randomSandboxId } from './sandbox-id.js';
import { sandboxSpec, type Wanted } from './sandbox-spec.js';
import { idempotency, newSandbox } from './schemas.js';
import { plainTemplateName, templateNotFound } from './template-name.js';
import { takeRate } from './tenant-rates.js';
import { timeoutMs } from './timeout-ms.js';
import { naming } from './unknown-outcome.js';

/** Contract 2.1: what an absent timeout means. */
const DEFAULT_TIMEOUT_SECONDS = { v1: 15, v2: 300 };

/** `POST /sandboxes` and `POST /v2/sandboxes`: 201 when the sandbox runs. */
export const create =
  (deps: ApiDeps, version: 'v1' | 'v2'): RequestHandler =>
  async (request, response) => {
    const given = parse(newSandbox, request.body);
    const { key } = parse(idempotency, { key: request.get('idempotency-key') });
    const body = { ...given, timeout: given.timeout ?? DEFAULT_TIMEOUT_SECONDS[version] };
    const tenant = tenantOf(response);
    const wanted = { tenant, body, timeoutMs: timeoutMs(body.timeout, deps.maxTimeoutMs) };
    let view: SandboxView;
    if (key === undefined) view = await createNew(deps, { ...wanted, digest: undefined });
    else {
      const id = idempotentSandboxId(deps.tokensKey, tenant, key);
      const digest = requestDigest(deps.tokensKey, body);
      const { outcome } = deps.join.run(`create ${id} ${digest}`, () => createOnce(deps, id, { ...wanted, digest }));
      view = await naming(id, outcome);
    }
    response.status(201).json(presentSandbox(deps, view));
  };

/** Takes a warm machine if there is one, without asking for the host's room: that has its own already. */
async function createNew(deps: ApiDeps, wanted: Wanted): Promise<SandboxView> {
  const name = nameIn(wanted);
  takeRate(deps, wanted.tenant, 'createsPerMinute');
  const { found: reports, missing } = await deps.directory.reports();
  const build = chooseBuild(reports, missing, name);
  const claim = claimOf('create', build.template, wanted.body.autoPause === true);
  return admitted(deps.admission, wanted.tenant, claim, async (held) => {
    const warm = await createFromPool(deps, reports, build, (id, placement) => {
      held.isOf(id);
      return sandboxSpec(deps, id, wanted, placement);
    });
    if (warm !== undefined) return warm;
    const spec = sandboxSpec(deps, randomSandboxId(), wanted, place(reports, missing, name));
    held.isOf(spec.id);
    return naming(spec.id, deps.client.create(spec, { mayExist: false }));
  });
}

/**
 * With an `Idempotency-Key`. A repeat is recognised before a place is looked for: the first may have taken the last one.
 * Its id comes from the key, so it cannot be a warm machine's.
 */
async function createOnce(deps: ApiDeps, id: string, wanted: Wanted & { digest: string }): Promise<SandboxView> {
  const known = await deps.client.get(id);
  if (known !== undefined) return answerAgain(deps.client, known, wanted.digest);
  const name = nameIn(wanted);
  takeRate(deps, wanted.tenant, 'createsPerMinute');
  const { found: reports, missing } = await deps.directory.reports();
  const { template } = chooseBuild(reports, missing, name);
  const claim = claimOf('create', { ...template, id }, wanted.body.autoPause === true);
  const view = await admitted(deps.admission, wanted.tenant, claim, () =>
    deps.client.create(sandboxSpec(deps, id, wanted, place(reports, missing, name)), { mayExist: true }),
  );
  return requireSameRequest(view, wanted.digest);
}

function nameIn({ body, tenant }: Wanted): string {
  const name = plainTemplateName(body.templateID, tenant);
  if (name === undefined) throw templateNotFound(body.templateID);
  return name;
}
