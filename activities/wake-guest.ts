import { possibleTokenOwners, type Manifest } from '../src/host/manifest.js';
import { slotAddress } from '../src/host/slots.js';
import { AGENT_PORT } from '../src/gateway/wire.js';
import { initGuest } from '../src/guest/init-guest.js';
import { accessToken } from '../src/keys/access-token.js';
import { machineIdOf } from '../src/keys/machine-id.js';
import { openField } from '../src/keys/sealed-field.js';
import { span } from '../src/tracing/span.js';
import type { HostContext } from './host-context.js';
import { slotOf } from './machine.js';
import { within } from '../src/within.js';

/** What this attempt did to the machine before it woke the guest. */
export type WokenAfter = 'restore' | 'boot' | 'adoption';

/** How long a guest's agent may take to answer after its machine was let run. */
const AGENT_TIMEOUT_MS = 45_000;

/**
 * Waits for the agent and initialises it: clock, token, environment, and the kernel's reseed, which it confirms or fails.
 * A machine that was booted has shared its past with no other, and has nothing to reseed for. One that ran already when
 * this attempt found it is not restored anew: the agent may have confirmed its one reseed to an attempt that died.
 * @returns the guest's boot id.
 */
export async function wakeGuest(
  context: HostContext,
  manifest: Manifest,
  signal: AbortSignal,
  after: WokenAfter = 'restore',
): Promise<string> {
  const bootId = await tellGuest(context, manifest, signal, after);
  const agentNonce = manifest.view.spec.tokenNonce;
  if (agentNonce !== manifest.agentNonce || manifest.agentMayKnow !== undefined)
    await context.index.change(manifest.id, { agentNonce, agentMayKnow: undefined });
  return bootId;
}

/** As {@link wakeGuest}; that the agent knows the token of the view is for the caller to record. */
export async function tellGuest(
  context: HostContext,
  manifest: Manifest,
  signal: AbortSignal,
  after: WokenAfter,
): Promise<string> {
  const { spec } = manifest.view;
  const tokensKey = context.masterKey.derive('tokens');
  const envVars =
    spec.sealedEnv === undefined
      ? {}
      : (JSON.parse(openField(context.masterKey.derive('fields'), manifest.id, 'envVars', spec.sealedEnv)) as Record<
          string,
          string
        >);
  const { bootId } = await span('agent', () =>
    initGuest(
      { host: slotAddress(slotOf(manifest)), port: AGENT_PORT },
      {
        accessToken: accessToken(tokensKey, spec),
        envVars,
        defaultUser: 'user',
        requireReseed: after === 'restore',
        machineId: machineIdOf(tokensKey, manifest.id),
      },
      within(AGENT_TIMEOUT_MS, signal),
      possibleTokenOwners(manifest).map((owner) => accessToken(tokensKey, owner)),
    ),
  );
  context.life.heard(manifest.id);
  return bootId;
}
