import { open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { agentTokenOwner, type Manifest } from '../src/host/manifest.js';
import { AGENT_PORT } from '../src/gateway/wire.js';
import { syncDisk } from '../src/guest/client.js';
import { slotAddress } from '../src/host/slots.js';
import { accessToken } from '../src/keys/access-token.js';
import type { HostContext } from './host-context.js';
import { domainName, slotOf } from './machine.js';
import { tell } from './tell.js';
import { within } from '../src/within.js';

const SYNC_WITHIN_MS = 8_000;
/** With the sync before and the rest after, a caller still has the answer within its 55 s. */
const POWER_OFF_WITHIN_MS = 35_000;
const LOOK_EVERY_MS = 200;

/** Shuts the guest down; ends its machine by force when it does not obey in time. Its disk is durable afterwards. */
export async function powerOff(context: HostContext, manifest: Manifest, signal: AbortSignal): Promise<void> {
  const { id } = manifest;
  const name = domainName(id);
  if ((await context.driver.state(name)) !== 'absent') {
    await syncGuest(context, manifest, signal);
    context.traffic.cutStreams(id);
    await context.driver.shutdown(name);
    if (!(await endsInTime(context, name, signal))) {
      context.log.warn(
        { sandbox: id, afterMs: POWER_OFF_WITHIN_MS },
        'a guest did not power off and is ended by force',
      );
      const message = 'the guest did not power off in time and was ended by force';
      await tell(context, id, (journal) =>
        journal.addEvent(id, manifest.generation, 'forced off', { level: 'warn', message }),
      );
      await context.driver.destroy(name);
    }
  }
  const disk = await open(context.index.paths.sandbox(id).overlay, 'r');
  await disk.sync().finally(() => disk.close());
}

/** In case that the shutdown has to be cut short. A guest that does not answer is shut down all the same. */
async function syncGuest(context: HostContext, manifest: Manifest, signal: AbortSignal): Promise<void> {
  const token = accessToken(context.masterKey.derive('tokens'), agentTokenOwner(manifest));
  const limit = within(SYNC_WITHIN_MS, signal);
  await syncDisk({ host: slotAddress(slotOf(manifest)), port: AGENT_PORT }, token, limit).catch((error: unknown) => {
    signal.throwIfAborted();
    context.log.warn({ sandbox: manifest.id, err: error }, 'a guest did not sync its disk before its shutdown');
  });
}

async function endsInTime(context: HostContext, name: string, signal: AbortSignal): Promise<boolean> {
  const until = performance.now() + POWER_OFF_WITHIN_MS;
  while ((await context.driver.state(name)) !== 'absent') {
    signal.throwIfAborted();
    if (performance.now() > until) return false;
    await delay(LOOK_EVERY_MS);
  }
  return true;
}
