import { AGENT_PORT } from '../src/gateway/wire.js';
import { waitForAgent } from '../src/guest/wait-for-agent.js';
import type { Manifest } from '../src/host/manifest.js';
import { slotAddress } from '../src/host/slots.js';
import type { HostContext } from './host-context.js';
import { domainName, slotOf } from './machine.js';
import { tell } from './tell.js';
import { wakeGuest } from './wake-guest.js';
import { within } from '../src/within.js';

/** A reboot under emulation on a busy host; a guest that is not waited for any longer is judged by its silence. */
const BOOT_WITHIN_MS = 300_000;

/** Guests that rebooted themselves: each is looked after once, however often and by whom that is noticed. */
export class Reboots {
  readonly #underWay = new Set<string>();

  constructor(private readonly context: HostContext) {}

  notice(id: string): void {
    if (this.#underWay.has(id)) return;
    this.#underWay.add(id);
    afterReboot(this.context, id)
      .catch((error: unknown) => {
        this.context.log.warn({ sandbox: id, err: error }, 'a guest rebooted, and its agent could not be told again');
      })
      .finally(() => this.#underWay.delete(id));
  }
}

/**
 * After a guest has rebooted itself: same machine, new boot, and an agent that has forgotten whose it is. Traffic is held
 * off until the agent has been told again. Whatever else happens to the sandbox meanwhile goes first.
 */
async function afterReboot(context: HostContext, id: string): Promise<void> {
  const before = runningNow(context, id);
  if (before === undefined) return;
  context.traffic.closeGate(id);
  context.traffic.cutStreams(id);
  try {
    const same = (): Manifest => {
      const now = runningNow(context, id);
      if (now?.generation !== before.generation) throw new Error('something else has happened to the sandbox since');
      return now;
    };
    const address = { host: slotAddress(slotOf(before)), port: AGENT_PORT };
    const check = async (): Promise<void> => {
      same();
      if ((await context.driver.state(domainName(id))) === 'absent') throw new Error('its machine has ended');
    };
    const limit = within(BOOT_WITHIN_MS);
    await waitForAgent(address, check, BOOT_WITHIN_MS);
    await context.locks.hold(id, before.generation, limit, async (held) => {
      const bootId = await wakeGuest(context, same(), held, 'boot');
      if (bootId === before.bootId) return;
      await context.index.change(id, { bootId });
      await tell(context, id, (journal) =>
        journal.addEntries(id, [
          {
            ...{ at: Date.now(), level: 'info', message: 'sandbox rebooted by its guest' },
            fields: { source: 'host', event: 'rebooted', generation: String(before.generation) },
          },
        ]),
      );
    });
  } finally {
    const now = runningNow(context, id);
    if (now?.generation === before.generation && !context.locks.isHeld(id)) context.traffic.openGate(id);
  }
}

function runningNow(context: HostContext, id: string): Manifest | undefined {
  const manifest = context.index.get(id);
  return manifest?.phase.name === 'running' ? manifest : undefined;
}
