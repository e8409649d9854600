import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Fleet } from '../../src/chaos/fleet.js';
import type { Case } from '../../src/chaos/plan.js';
import type { Rig } from '../../src/chaos/rig.js';
import { readConfig } from '../../src/config.js';

const dist = path.resolve(import.meta.dirname, '../../dist/src');
const load = <T>(module: string): Promise<T> => import(path.join(dist, module)) as Promise<T>;

/** Order of the points; a violation is repeated with it. */
const SEED = 1;
const PORT = Number(process.env['DORMOUSE_TEST_PORT'] ?? 13_000) + 300;

let rig: Rig;
let fleet: Fleet;
beforeAll(async () => {
  const home = process.env['DORMOUSE_HOME'] ?? '/var/lib/dormouse';
  const { chaosEnvironment } = await load<typeof import('../../src/chaos/environment.js')>('chaos/environment.js');
  const env = chaosEnvironment(process.env, { home, port: PORT });
  const { Rig: RigOf } = await load<typeof import('../../src/chaos/rig.js')>('chaos/rig.js');
  const { Fleet: FleetOf } = await load<typeof import('../../src/chaos/fleet.js')>('chaos/fleet.js');
  rig = await RigOf.start(readConfig(env), env, (line) => void process.stderr.write(`[chaos] ${line}\n`));
  fleet = new FleetOf(rig);
  await fleet.muster();
}, 300_000);
afterAll(() => rig?.end());

test('whatever moment of a pause or a resume the host worker dies at: nothing is lost, left behind or told wrongly', async () => {
  const { crashCases } = await load<typeof import('../../src/chaos/plan.js')>('chaos/plan.js');
  const { randomFrom, shuffled } = await load<typeof import('../../src/chaos/random.js')>('chaos/random.js');
  const { runCase } = await load<typeof import('../../src/chaos/run-case.js')>('chaos/run-case.js');
  const { faultName } = await load<typeof import('../../src/chaos/plan.js')>('chaos/plan.js');
  const of = (step: string, prefix: string): Case[] =>
    shuffled(
      crashCases().filter(({ step: one, fault }) => one === step && faultName(fault).startsWith(`crash at ${prefix}`)),
      randomFrom(SEED),
    );
  const [pauses, resumes] = [of('pause', 'pause.'), of('resume', 'resume.')];
  const rounds = Math.max(pauses.length, resumes.length);
  for (let round = 0; round < rounds; round++) {
    for (const chaos of [pauses[round], resumes[round]]) {
      if (chaos === undefined) continue;
      const { injected, violation } = await runCase(rig, fleet, chaos, { wakeToProve: false });
      expect(violation, `${chaos.step} × ${faultName(chaos.fault)}`).toBeUndefined();
      expect(injected, faultName(chaos.fault)).toBe(true);
    }
  }
  expect(await fleet.proveBystanders(true)).toBeUndefined();
}, 400_000);
