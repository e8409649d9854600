import type { RotateTokensInput } from '../workflows/host-activities.js';
import type { LogEntry } from '../src/gateway/wire.js';
import { within } from '../src/within.js';
import { failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { knownManifest } from './known-manifest.js';
import { tell } from './tell.js';
import { tellGuest } from './wake-guest.js';

/** Others wait for the sandbox's workflow meanwhile. */
const AGENT_WITHIN_MS = 12_000;
/** Rotations in a row whose answers were lost. */
const MOST_UNFINISHED = 20;

/**
 * The sandbox's tokens are those of another nonce from here on. The agent of a running one is told first; that of a
 * sleeping one when it wakes, by who knows the token that it had. What was opened with an old token is cut.
 *
 * Durable before the agent is told: should its answer be lost, and another rotation be asked for, the host must still know
 * every token that the agent may have.
 *
 * Second run: everything is done again; the agent takes its new token, too, for being told that one.
 */
export async function rotateTokens(
  context: HostContext,
  { id, tenant, generation, tokenNonce }: RotateTokensInput,
  signal: AbortSignal,
): Promise<void> {
  await fenced(context, id, generation, signal, async (held) => {
    const known = knownManifest(context, { id, tenant }, 'ImageDamaged');
    const view = { ...known.view, spec: { ...known.view.spec, tokenNonce } };
    context.reached('rotate.begun');
    if (known.phase.name === 'running') {
      const agentMayKnow = [...new Set([...(known.agentMayKnow ?? []), tokenNonce])].slice(-MOST_UNFINISHED);
      const told = await context.index.change(id, { agentMayKnow });
      context.reached('rotate.noted');
      await tellGuest(context, { ...told, view }, within(AGENT_WITHIN_MS, held), 'adoption');
      context.reached('rotate.agent-told');
      held.throwIfAborted();
      await context.index.change(id, { view, agentNonce: tokenNonce, agentMayKnow: undefined });
    } else if (known.phase.name === 'saved') await context.index.change(id, { view });
    else throw failure('HostFailure', `sandbox ${id} is in the middle of another step (${known.phase.name})`);
    context.reached('rotate.recorded');
    context.traffic.cutStreams(id);
    await tell(context, id, (journal) => journal.addEntries(id, [entry(known.generation)]));
  });
}

const entry = (generation: number): LogEntry => ({
  ...{ at: Date.now(), level: 'info', message: 'sandbox tokens rotated' },
  fields: { source: 'host', event: 'tokens rotated', generation: String(generation) },
});
