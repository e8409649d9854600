import type { FakeMachines } from './fake-machines.js';

/** From the parent of a host worker to the machines in it; each is answered with what is seen then. */
export interface MachineOrder {
  id: number;
  deaf?: boolean;
  /** Who waits: all that save or restore from now on, only those that wait already, or nobody. */
  hold?: 'all' | 'those that wait' | 'nobody';
}

export interface MachinesSeen {
  id: number;
  waiting: number;
  boots: number;
  /** Names of those that run. */
  running: string[];
}

/** Takes the orders of this process's parent. */
export function obeyParent(machines: FakeMachines): void {
  let release = (): void => undefined;
  process.on('message', (order: MachineOrder) => {
    const { id, deaf, hold } = order;
    if (deaf !== undefined) machines.deaf = deaf;
    if (hold === 'all') machines.hold = new Promise((resolve) => (release = resolve));
    else if (hold !== undefined) machines.hold = undefined;
    if (hold === 'nobody') release();
    void seen(machines).then((found) => process.send?.({ id, ...found }));
  });
}

async function seen(machines: FakeMachines): Promise<Omit<MachinesSeen, 'id'>> {
  const running: string[] = [];
  for (const name of await machines.list('')) if ((await machines.state(name)) === 'running') running.push(name);
  return { waiting: machines.waiting, boots: machines.boots, running };
}
