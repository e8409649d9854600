import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ALL_POINTS, CRASH_POINTS } from '../../activities/crash-points.js';
import { judge } from '../../src/chaos/judge.js';
import { keyOfCase, matrix, shortForm, type Case } from '../../src/chaos/plan.js';
import { usedTwice } from '../../src/chaos/machine-starts.js';

const linesOf = ({ fault }: Case): string[] => (fault.kind === 'point' ? fault.lines : []);

test('the matrix crashes the host worker at every point, and is the same for the same seed', () => {
  const crashed = new Set(
    matrix(7)
      .flatMap(linesOf)
      .map((line) => line.replace(/ crash$/, '')),
  );
  for (const point of ALL_POINTS) expect(crashed, point).toContain(point);
  expect(matrix(7).map(keyOfCase)).toEqual(matrix(7).map(keyOfCase));
  expect(matrix(8).map(keyOfCase)).not.toEqual(matrix(7).map(keyOfCase));
});

test('every point that the code can reach has its place among those, and none is left that it cannot', async () => {
  const activities = path.resolve(import.meta.dirname, '../../activities');
  const sources = (await readdir(activities)).filter((name) => name.endsWith('.ts') && name !== 'crash-points.ts');
  const texts = await Promise.all(sources.map((name) => readFile(path.join(activities, name), 'utf8')));
  const reached = texts.flatMap((text) => [...text.matchAll(/\breached\('([^']+)'\)/g)].map(([, point]) => point));
  expect([...new Set(reached)].sort()).toEqual([...ALL_POINTS].sort());
});

test('a create that takes a warm machine is tried with the death of each role, too', () => {
  const roles = matrix(7).flatMap(({ step, fault }) =>
    step === 'assign' && fault.kind === 'kill' ? [fault.role] : [],
  );
  expect(roles.sort()).toEqual(['api', 'control-worker', 'host-worker', 'temporal']);
});

test('the short form has every point of pause and resume', () => {
  const crashed = new Set(shortForm().flatMap(linesOf));
  for (const point of CRASH_POINTS.filter((one) => /^(pause|resume)\./.test(one))) expect(crashed).toContain(point);
});

test('what a caller was told must be true, and only the death of its own machine may end a sandbox', () => {
  const point: Case['fault'] = { kind: 'point', name: 'crash at x', lines: [] };
  const qemu: Case['fault'] = { kind: 'kill-qemu', afterMs: 0 };
  const ok = { status: 204, body: undefined };
  const unknown = { status: 504, body: undefined };
  expect(judge({ step: 'pause', fault: point }, ok, 'paused')).toBeUndefined();
  expect(judge({ step: 'pause', fault: point }, ok, 'running')).toMatch(/answered 204, and the sandbox is running/);
  expect(judge({ step: 'pause', fault: point }, unknown, 'running')).toBeUndefined();
  expect(judge({ step: 'resume', fault: point }, unknown, 'ended')).toMatch(/ended/);
  expect(judge({ step: 'resume', fault: qemu }, unknown, 'ended')).toBeUndefined();
  expect(judge({ step: 'pause', fault: qemu }, ok, 'ended')).toMatch(/ended/);
  const panic: Case['fault'] = { kind: 'guest-panic' };
  expect(judge({ step: 'pause', fault: panic }, { status: 500, body: undefined }, 'ended')).toBeUndefined();
  expect(judge({ step: 'pause', fault: panic }, ok, 'ended')).toMatch(/answered 204/);
  expect(judge({ step: 'auto-pause', fault: panic }, ok, 'paused')).toMatch(/paused/);
  for (const answer of [ok, unknown]) {
    expect(judge({ step: 'rotate', fault: point }, answer, 'running')).toBeUndefined();
    expect(judge({ step: 'rotate', fault: point }, answer, 'paused')).toMatch(/the sandbox is paused/);
    expect(judge({ step: 'rotate-paused', fault: point }, answer, 'paused')).toBeUndefined();
    expect(judge({ step: 'rotate-paused', fault: point }, answer, 'running')).toMatch(/the sandbox is running/);
    expect(judge({ step: 'rotate-paused', fault: point }, answer, 'ended')).toMatch(/ended/);
  }
  expect(judge({ step: 'rotate', fault: qemu }, ok, 'ended')).toBeUndefined();
  expect(judge({ step: 'rotate-paused', fault: { kind: 'power-loss' } }, ok, 'paused')).toBeUndefined();
  expect(judge({ step: 'rotate-paused', fault: { kind: 'power-loss' } }, ok, 'ended')).toMatch(/ended/);
  expect(judge({ step: 'kill', fault: point }, ok, 'paused')).toMatch(/paused/);
  for (const step of ['create', 'assign'] as const) {
    expect(judge({ step, fault: point }, unknown, 'ended')).toBeUndefined();
    expect(judge({ step, fault: point }, ok, 'ended')).toMatch(/answered 204/);
  }
  expect(judge({ step: 'resume', fault: { kind: 'damage', what: 'older' } }, ok, 'running')).toMatch(/older/);
});

test('a rotation is tried awake and asleep, with every fault that other quick steps meet', () => {
  const faults = (step: Case['step']): Set<string> =>
    new Set(matrix(7).flatMap((one) => (one.step === step ? [one.fault.kind] : [])));
  for (const step of ['rotate', 'rotate-paused'] as const)
    expect([...faults(step)]).toEqual(expect.arrayContaining(['point', 'kill', 'restart-libvirtd', 'clock']));
  expect([...faults('rotate')]).toEqual(expect.arrayContaining(['kill-qemu', 'guest-panic', 'freeze-host-worker']));
  expect(faults('rotate-paused')).toContain('power-loss');
});

test('a machine that was started again after its image had run is found', () => {
  const resume = (name: string): Case => ({ step: 'resume', fault: { kind: 'point', name, lines: [] } });
  expect(usedTwice(resume('crash at resume.ran'), 1)).toBeUndefined();
  expect(usedTwice(resume('crash at resume.ran'), 2)).toMatch(/started 2 times/);
  expect(usedTwice(resume('crash at resume.restored'), 2)).toBeUndefined();
});
