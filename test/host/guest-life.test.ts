import { beforeEach, describe, expect, test } from 'vitest';
import { GuestLife, type Sign, type WatchedGuest } from '../../src/host/guest-life.js';
import { crashIn, type Silence } from '../../src/host/silence.js';

const AFTER_MS = 40_000;

describe('a silence', () => {
  const panicked: Silence = { agentMs: AFTER_MS, kernelMs: AFTER_MS, cpuSeconds: 15, boots: false };

  test('of a guest whose virtual CPUs run all the time is a crash, and the reason says how long it was', () => {
    expect(crashIn(panicked, AFTER_MS)).toContain('its agent has not answered for 40 s');
    expect(crashIn({ ...panicked, agentMs: AFTER_MS - 1 }, AFTER_MS)).toBeUndefined();
  });

  test.each<[string, Partial<Silence>]>([
    ['that gets little of a busy host', { cpuSeconds: 9 }],
    ['whose kernel refused a connection since', { kernelMs: 10_000 }],
    ['that may be booting', { boots: true }],
  ])('of a guest %s is one only after a much longer time', (_who, change) => {
    expect(crashIn({ ...panicked, ...change }, AFTER_MS)).toBeUndefined();
    expect(crashIn({ ...panicked, ...change, agentMs: 7 * AFTER_MS }, AFTER_MS)).toBeUndefined();
    expect(crashIn({ ...panicked, ...change, agentMs: 8 * AFTER_MS }, AFTER_MS)).toBeDefined();
  });

  test('of a guest that does not run at all is never one', () => {
    expect(crashIn({ ...panicked, cpuSeconds: 0, agentMs: 100 * AFTER_MS }, AFTER_MS)).toBeUndefined();
  });
});

describe('a guest that is watched', () => {
  let now: number;
  let guests: WatchedGuest[];
  let says: Sign;
  let asked: number;
  /** CPU seconds per second; undefined: it stands. */
  let speed: number | undefined;
  let crashes: string[];
  let life: GuestLife;
  const make = (afterMs: number | undefined): GuestLife =>
    new GuestLife({
      afterMs,
      running: () => guests,
      ask: () => {
        asked += 1;
        return Promise.resolve(says);
      },
      cpuSeconds: () => Promise.resolve(speed === undefined ? undefined : (now / 1000) * speed),
      onCrash: (id) => {
        crashes.push(id);
        return Promise.resolve();
      },
      failed: (_id, error) => {
        throw error;
      },
      now: () => now,
    });
  beforeEach(() => {
    now = 1_000_000;
    guests = [{ id: 'a', held: false, boots: false }];
    [says, speed, asked, crashes] = ['none', 1, 0, []];
    life = make(AFTER_MS);
    life.look();
    life.heard('a');
  });
  const pass = async (seconds: number, each: () => void = () => undefined): Promise<void> => {
    for (let passed = 0; passed < seconds; passed += 5) {
      now += 5_000;
      each();
      life.look();
      await new Promise(setImmediate);
    }
  };

  test('has crashed when it is silent, and that is reported until it is gone', async () => {
    await pass(35);
    expect([crashes, life.crashed('a')]).toEqual([[], undefined]);
    await pass(10);
    expect(crashes).toEqual(['a']);
    expect(life.crashed('a')).toContain('its guest has crashed');
    await pass(10);
    expect(crashes).toEqual(['a', 'a']);
    guests = [];
    await pass(30);
    expect(crashes).toEqual(['a', 'a']);
  });

  test('is not asked while others hear it, and lives when it answers late', async () => {
    await pass(300, () => now % 15_000 === 10_000 && life.heard('a'));
    expect(asked).toBe(0);
    await pass(35);
    says = 'agent';
    await pass(300);
    expect(asked).toBeGreaterThan(1);
    expect(crashes).toEqual([]);
  });

  test.each<[string, () => void]>([
    ['its kernel refuses connections, as while its agent is started again', () => (says = 'kernel')],
    ['the host could not ask it', () => (says = 'unknown')],
    ['the host has no CPU for it', () => (speed = 0.05)],
    ['its virtual CPUs stand', () => (speed = undefined)],
    ['it boots', () => (guests[0]!.boots = true)],
    ['its reboot may have been missed', () => life.pardonAll()],
    ['this process has never heard it', () => ((life = make(AFTER_MS)), undefined)],
  ])('is not judged soon when %s', async (_why, change) => {
    change();
    await pass(120);
    expect(crashes).toEqual([]);
    expect(life.crashed('a')).toBeUndefined();
  });

  test('that was reset after a long silence is given the time of a boot', async () => {
    speed = 0.05;
    await pass(330);
    expect(crashes).not.toEqual([]);
    const before = crashes.length;
    life.boots('a');
    await pass(300);
    expect(crashes).toHaveLength(before);
  });

  test('that was seen to stand, again and again, starts anew each time', async () => {
    await pass(600, () => now % 30_000 === 0 && life.stands('a'));
    expect(crashes).toEqual([]);
  });

  test('is not judged for a time in which nobody looked', async () => {
    await pass(25);
    now += 600_000;
    await pass(5);
    expect(crashes).toEqual([]);
  });

  test('somebody works on is judged, for who works on it, and left alone', async () => {
    guests[0]!.held = true;
    await pass(60);
    expect(life.crashed('a')).toContain('its guest has crashed');
    expect(crashes).toEqual([]);
  });

  test('is left alone where the rule is off', async () => {
    life = make(undefined);
    life.heard('a');
    await pass(600);
    expect([asked, crashes]).toEqual([0, []]);
  });
});
