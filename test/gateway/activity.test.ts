import { expect, test } from 'vitest';
import { Activity } from '../../src/gateway/activity.js';

test('after a restart every sandbox counts as active at the start, and grows idle from there', () => {
  let now = 5_000;
  const activity = new Activity(() => now);
  expect(activity.idleForMs('i1')).toBe(0);
  now += 700;
  expect(activity.idleForMs('i1')).toBe(700);
  activity.touch('i1');
  now += 30;
  expect([activity.idleForMs('i1'), activity.idleForMs('i2')]).toEqual([30, 730]);
});

test('closing and opening the gate is no activity', () => {
  let now = 0;
  const activity = new Activity(() => now);
  activity.touch('i1');
  now = 900;
  activity.closeGate('i1');
  expect(activity.isGateOpen('i1')).toBe(false);
  activity.openGate('i1');
  expect([activity.isGateOpen('i1'), activity.idleForMs('i1')]).toEqual([true, 900]);
});

test('a cut ends what is open to that sandbox, and nothing else', () => {
  const activity = new Activity();
  const cut: string[] = [];
  activity.track('i1', () => cut.push('i1'));
  const untrack = activity.track('i1', () => cut.push('over'));
  activity.track('i2', () => cut.push('i2'));
  untrack();
  activity.cutStreams('i1');
  expect(cut).toEqual(['i1']);
});

test('what is forgotten is open again and as old as the process', () => {
  let now = 0;
  const activity = new Activity(() => now);
  now = 100;
  activity.touch('i1');
  activity.closeGate('i1');
  activity.forget('i1');
  expect([activity.isGateOpen('i1'), activity.idleForMs('i1')]).toEqual([true, 100]);
});
