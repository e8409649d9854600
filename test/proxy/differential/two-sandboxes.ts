import { accessToken } from '../../../src/keys/access-token.js';
import { FakeWorld, TOKENS_KEY } from '../../api/fake-world.js';
import type { Targets } from './generate.js';
import { Recorder } from './recorder.js';

export interface TwoSandboxes {
  proxyPort: number;
  targets: Targets;
  seen(): Promise<[string[], string[]]>;
  /** How many requests are under way to each sandbox. */
  open(): [number, number];
  stop(): Promise<void>;
}

/** The real proxy and the real gateway before two recording servers, which are sandboxes of two tenants. */
export async function twoSandboxes(): Promise<TwoSandboxes> {
  const world = await new FakeWorld().start();
  const [mine, theirs] = [new Recorder(), new Recorder()];
  world.add('mine', {}, { tenant: 'a' });
  // A request that could wake its sandbox keeps its body back until it is known that it need not.
  world.add('theirs', {}, { tenant: 'b', autoResume: true });
  for (const [id, port, recorder] of [
    ['mine', 3001, mine],
    ['theirs', 3002, theirs],
  ] as const) {
    const real = await recorder.start();
    world.guests.set(id, { host: '127.0.0.1', port: real });
    world.guestPorts.set(port, real);
  }
  const texts = (recorder: Recorder): string[] => recorder.connections.map(({ text }) => text);
  return {
    proxyPort: world.proxyPort,
    targets: [
      [{ host: '49983-mine.x.y', token: accessToken(TOKENS_KEY, { id: 'mine' }) }, { host: '3001-mine.x.y' }],
      [{ host: '49983-theirs.x.y', token: accessToken(TOKENS_KEY, { id: 'theirs' }) }, { host: '3002-theirs.x.y' }],
    ],
    open: () => [world.activity.openTo('mine'), world.activity.openTo('theirs')],
    seen: () => Promise.resolve([texts(mine), texts(theirs)]),
    stop: async () => {
      mine.stop();
      theirs.stop();
      await world.stop();
    },
  };
}
