import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crashSwitch } from '../../activities/crash-switch.js';
import { InFlight } from '../../activities/in-flight.js';

let root: string;
beforeEach(async () => (root = await mkdtemp(path.join(tmpdir(), 'crash-'))));
afterEach(() => rm(root, { recursive: true }));

test('a point ends the process once, when its turn comes, and the others stay', async () => {
  const file = path.join(root, 'points');
  let deaths = 0;
  const reached = crashSwitch(file, () => deaths++);
  reached('pause.saved');
  await writeFile(file, 'pause.sealed\nrollback.ran\n');
  reached('pause.saved');
  expect(deaths).toBe(0);
  reached('pause.sealed');
  reached('pause.sealed');
  expect(deaths).toBe(1);
  reached('rollback.ran');
  expect(deaths).toBe(2);
  await expect(readFile(file)).rejects.toThrow('ENOENT');
});

test('a point can fail the step instead', async () => {
  const file = path.join(root, 'points');
  await writeFile(file, 'pause.sealed fail');
  const reached = crashSwitch(file, () => expect.unreachable());
  expect(() => reached('pause.sealed')).toThrow(/failed at pause.sealed/);
  reached('pause.sealed');
});

test('steps that a crash left in the middle are given out once, each with its token; ended ones are not', async () => {
  const first = new InFlight(root, '/state');
  await first.open();
  const end = await first.begin(Buffer.from('one'));
  await first.begin(Buffer.from('two'));
  await end();
  await new InFlight(root, '/another').begin(Buffer.from('of another state directory'));
  const told: string[] = [];
  const tell = async (token: Uint8Array): Promise<void> => void told.push(Buffer.from(token).toString());
  expect(await new InFlight(root, '/state').abandoned(tell)).toBe(1);
  expect(await new InFlight(root, '/state').abandoned(tell)).toBe(0);
  expect(told).toEqual(['two']);
});

test('records of steps go with their state directory, and at a start of any other host worker', async () => {
  const records = path.join(root, 'in-flight');
  const [gone, there, own] = await Promise.all(
    ['gone', 'there', 'own'].map(async (name) => {
      const stateDir = path.join(root, name);
      await mkdir(stateDir);
      const inFlight = new InFlight(records, stateDir);
      await inFlight.open();
      await inFlight.begin(Buffer.from(name));
      return { stateDir, inFlight };
    }),
  );
  // As an earlier version left it: nobody knows whose it is.
  await new InFlight(records, '/earlier').begin(Buffer.from('earlier'));
  await rm(gone!.stateDir, { recursive: true });
  expect(await own!.inFlight.sweep()).toBe(1);
  expect(await readdir(records)).toHaveLength(3);
  expect(await own!.inFlight.sweep(Date.now() + 2 * 86_400_000)).toBe(1);
  const told: string[] = [];
  for (const { inFlight } of [gone!, there!, own!])
    await inFlight.abandoned(async (token) => void told.push(Buffer.from(token).toString()));
  expect(told).toEqual(['there', 'own']);
});
