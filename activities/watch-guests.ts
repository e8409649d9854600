import { AGENT_PORT } from '../src/gateway/wire.js';
import { signOfLife } from '../src/guest/sign-of-life.js';
import { GuestLife } from '../src/host/guest-life.js';
import { slotAddress } from '../src/host/slots.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';

/**
 * The guests of this host's sandboxes, watched for crashes. Machines of the warm pool are left out: a create that takes one
 * finds out. Nobody is judged while the host itself keeps the guests from answering.
 */
export function watchGuests(
  host: Pick<HostContext, 'driver' | 'index' | 'locks' | 'log'> & {
    isGateOpen: (id: string) => boolean;
    /** Every guest's network is stopped. */
    areCutOff: () => boolean;
  },
  afterMs: number | undefined,
  onCrash: (id: string, why: string) => Promise<void>,
): GuestLife {
  const { driver, index, locks, log } = host;
  return new GuestLife({
    ...{ afterMs, onCrash },
    running: () =>
      index.all().flatMap(({ id, phase, view }) => {
        if (host.areCutOff() || phase.name !== 'running' || view.spec.warm === true) return [];
        const held = locks.isHeld(id);
        return [{ id, held, boots: !held && !host.isGateOpen(id) }];
      }),
    ask: async (id, signal) => {
      const slot = index.get(id)?.slot ?? null;
      return slot === null ? 'unknown' : signOfLife({ host: slotAddress(slot), port: AGENT_PORT }, signal);
    },
    cpuSeconds: async (id) =>
      (await driver.state(domainName(id))) === 'running' ? driver.cpuSeconds(domainName(id)) : undefined,
    failed: (id, error) => log.warn({ sandbox: id, err: error }, 'a silent guest could not be looked at'),
  });
}
