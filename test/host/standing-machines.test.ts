import { beforeEach, expect, test } from 'vitest';
import type { Manifest } from '../../src/host/manifest.js';
import { SandboxLocks } from '../../src/host/sandbox-locks.js';
import { StandingMachines } from '../../src/host/standing-machines.js';
import { createLogger } from '../../src/log.js';
import type { MachineState } from '../../src/libvirt/driver.js';

let phase: Manifest['phase'];
let states: Record<string, MachineState>;
let asked: string[];
/** What libvirt answers, and when. */
let answer: () => Promise<void>;
let locks: SandboxLocks;
let standing: StandingMachines;
beforeEach(() => {
  phase = { name: 'running' };
  states = { 'd-a': 'paused', 'd-b': 'paused' };
  asked = [];
  answer = () => Promise.resolve();
  locks = new SandboxLocks();
  standing = new StandingMachines({
    driver: {
      state: (name) => Promise.resolve(states[name] ?? 'absent'),
      run: async (name) => {
        asked.push(name);
        await answer();
        states[name] = 'running';
      },
    },
    index: { get: () => ({ generation: 3, phase }) as Manifest },
    ...{ locks, domainPrefix: 'd-', log: createLogger('test', 'silent') },
  });
});

test('machines that stand run again', async () => {
  standing.letRun(new Set(['a', 'b']));
  await expect.poll(() => states).toEqual({ 'd-a': 'running', 'd-b': 'running' });
});

test('one that somebody works on, that is in the middle of a step, or that runs by then is left alone', async () => {
  let release = (): void => undefined;
  const working = locks.hold(
    'a',
    3,
    new AbortController().signal,
    () => new Promise<void>((resolve) => (release = resolve)),
  );
  standing.letRun(new Set(['a']));
  phase = { name: 'saving' };
  standing.letRun(new Set(['b']));
  await new Promise(setImmediate);
  phase = { name: 'running' };
  states['d-b'] = 'running';
  standing.letRun(new Set(['b']));
  await new Promise(setImmediate);
  expect(asked).toEqual([]);
  release();
  await working;
});

test('one that does not answer is asked once, gives its lock to who needs it, and keeps no other waiting', async () => {
  answer = () => new Promise(() => undefined);
  standing.letRun(new Set(['a']));
  await expect.poll(() => asked).toEqual(['d-a']);
  answer = () => Promise.resolve();
  standing.letRun(new Set(['a', 'b']));
  await expect.poll(() => states['d-b']).toBe('running');
  expect(asked).toEqual(['d-a', 'd-b']);
  expect(await locks.hold('a', 4, AbortSignal.timeout(5_000), () => Promise.resolve('mine'))).toBe('mine');
});
