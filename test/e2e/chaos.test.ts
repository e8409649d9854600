import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Fleet } from '../../src/chaos/fleet.js';
import type { Rig } from '../../src/chaos/rig.js';
import { readConfig } from '../../src/config.js';

const dist = path.resolve(import.meta.dirname, '../../dist/src');
const load = <T>(module: string): Promise<T> => import(path.join(dist, module)) as Promise<T>;

const PORT = Number(process.env['DORMOUSE_TEST_PORT'] ?? 13_000) + 300;

const say = (line: string): void => void process.stderr.write(`[chaos] ${line}\n`);

let rig: Rig;
let fleet: Fleet;
beforeAll(async () => {
  const home = process.env['DORMOUSE_HOME'] ?? '/var/lib/dormouse';
  const { chaosEnvironment } = await load<typeof import('../../src/chaos/environment.js')>('chaos/environment.js');
  const env = chaosEnvironment(process.env, { home, port: PORT });
  const { Rig: RigOf } = await load<typeof import('../../src/chaos/rig.js')>('chaos/rig.js');
  const { Fleet: FleetOf } = await load<typeof import('../../src/chaos/fleet.js')>('chaos/fleet.js');
  rig = await RigOf.start(readConfig(env), env, say);
  fleet = new FleetOf(rig);
  await fleet.muster();
}, 300_000);
afterAll(() => rig?.end());

test('whatever moment of a pause or a resume the host worker dies at: nothing is lost, left behind or told wrongly', async () => {
  const { faultName, shortForm } = await load<typeof import('../../src/chaos/plan.js')>('chaos/plan.js');
  const { runCase } = await load<typeof import('../../src/chaos/run-case.js')>('chaos/run-case.js');
  for (const chaos of shortForm()) {
    const start = Date.now();
    const { injected, violation, answer, outcome } = await runCase(rig, fleet, chaos, { wakeToProve: false });
    say(`${faultName(chaos.fault)}: answered ${answer}, ${outcome}, ${((Date.now() - start) / 1000).toFixed(1)} s`);
    expect(violation, faultName(chaos.fault)).toBeUndefined();
    expect(injected, faultName(chaos.fault)).toBe(true);
  }
  expect(await fleet.proveBystanders(true)).toBeUndefined();
}, 400_000);
