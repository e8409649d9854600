import {
  AHEAD_POINTS,
  CRASH_POINTS,
  DISK_ONLY_POINTS,
  ROTATE_POINTS,
  WARM_POINTS,
  type CrashPoint,
} from '../../activities/crash-points.js';
import { randomFrom, shuffled } from './random.js';

/**
 * `wake`: a resume by traffic. `seal-ahead`: an automatic pause of a sandbox that is quiet until its memory was sealed for it.
 * `shut-down` and `boot`: pause and resume of the disk alone, a minute each under emulation.
 * `assign`: a create that takes over a machine of the warm pool, which is there for this step alone.
 * `rotate` and `rotate-paused`: its tokens are rotated; what was handed out before opens nothing.
 * `terminate`: an operator ends the workflow past it; the reaper removes what it owned.
 */
export const STEPS = [
  'create',
  'assign',
  'pause',
  'resume',
  'wake',
  'auto-pause',
  'seal-ahead',
  'shut-down',
  'boot',
  'rotate',
  'rotate-paused',
  'timeout-kill',
  'kill',
  'kill-paused',
  'expiry',
  'terminate',
] as const;
export type Step = (typeof STEPS)[number];

/** What happens to a saved image between pause and connect. */
export const DAMAGES = [
  'truncated',
  'bit-flipped',
  /** In the header of a file that the image refers to. */
  'bit-flipped-earlier',
  'of-another',
  'older',
  'older-with-manifest',
] as const;
export type Damage = (typeof DAMAGES)[number];

export type Fault =
  /** Lines of the crash switch: the last names the point, those before lead there. */
  | { kind: 'point'; name: string; lines: string[] }
  | { kind: 'kill'; role: 'host-worker' | 'control-worker' | 'api' | 'temporal'; afterMs: number }
  | { kind: 'kill-qemu'; afterMs: number }
  /** Before the step: its guest's kernel panics, while its QEMU lives. */
  | { kind: 'guest-panic' }
  | { kind: 'restart-libvirtd'; afterMs: number }
  /** The host worker stands still until Temporal has given up its attempt, then goes on beside the next one. */
  | { kind: 'freeze-host-worker'; afterMs: number }
  | { kind: 'no-disk' }
  | { kind: 'no-memory' }
  | { kind: 'damage'; what: Damage }
  | { kind: 'second-host-worker' }
  /** Another host on the same machine, whose own host worker is killed in the middle of its own sandbox's life. */
  | { kind: 'host-beside' }
  /** Of the roles' clocks, not the machine's, in the middle of the step; and back after it. */
  | { kind: 'clock'; byMs: number; afterMs: number }
  /** After the answer: every process dies, the disk keeps what had reached it, and the machine starts again. */
  | { kind: 'power-loss' };

export interface Case {
  step: Step;
  fault: Fault;
}

export const faultName = (fault: Fault): string => {
  switch (fault.kind) {
    case 'point':
      return fault.name;
    case 'kill':
      return `kill -9 ${fault.role}`;
    case 'damage':
      return `image ${fault.what}`;
    case 'clock':
      return `clock ${fault.byMs > 0 ? '+' : '-'}1 h`;
    default:
      return fault.kind;
  }
};

export const keyOfCase = ({ step, fault }: Case): string => `${step} × ${faultName(fault)}`;

/** Failures that lead to a point which is on no straight way. */
const LEADING: Partial<Record<CrashPoint, string>> = {
  ...within('create', ['clearing', 'machine-cleared', 'workspace-cleared', 'files-cleared'], 'create.restored fail'),
  ...within(
    'rollback',
    ['begun', 'restored', 'device-state-removed', 'ran', 'agent-ready', 'settled'],
    'pause.saved fail',
  ),
  ...within('resume', ['undoing', 'undone'], 'resume.restored fail'),
  ...within('save-again', ['begun', 'marked', 'saved', 'sealed', 'recorded', 'cleared'], 'resume.ran fail'),
};

function within(verb: string, names: string[], leading: string): Partial<Record<CrashPoint, string>> {
  return Object.fromEntries(names.map((name) => [`${verb}.${name}`, leading]));
}

const STEP_OF: Record<string, Step> = {
  ...{ create: 'create', pause: 'pause', rollback: 'pause', resume: 'resume', 'save-again': 'resume', destroy: 'kill' },
  ...{ 'shut-down': 'shut-down', boot: 'boot', ahead: 'seal-ahead', rotate: 'rotate', assign: 'assign' },
};

const HOUR_MS = 3_600_000;
/** Steps with a case of their own for each fault of the matrix's second half; the slow ones have few. */
const QUICK = STEPS.filter((step) => !['assign', 'seal-ahead', 'shut-down', 'boot'].includes(step));

function pointCase(point: CrashPoint, what: 'crash' | 'fail', step: Step = STEP_OF[point.split('.')[0]!]!): Case {
  const leading = LEADING[point];
  const lines = [...(leading === undefined ? [] : [leading]), `${point} ${what}`];
  return { step, fault: { kind: 'point', name: `${what} at ${point}`, lines } };
}

/** Every crash of the host worker at every point, once. */
export const crashCases = (): Case[] => CRASH_POINTS.map((point) => pointCase(point, 'crash'));

/**
 * The short form: every point of pause and resume, several crashes in the course of one step, as many as its attempts
 * allow. The order within a group is the one in which they are reached.
 */
export function shortForm(): Case[] {
  const group = (step: Step, ...points: string[]): Case =>
    inOneStep(
      step,
      points.map((point) => `${step}.${point}`),
    );
  return [
    group('pause', 'begun', 'marked', 'saved', 'sealed'),
    group('resume', 'begun', 'cleared', 'slot-claimed', 'marked'),
    group('pause', 'recorded', 'older-images-removed', 'machine-gone', 'workspace-cleared'),
    group('resume', 'disk-ready', 'network-ready', 'opened', 'restored'),
    group('pause', 'sealed', 'recorded'),
    group('resume', 'consumed', 'ran', 'agent-ready', 'settled'),
    group('pause', 'saved', 'machine-gone'),
    group('resume', 'restored fail', 'undoing', 'restored fail', 'undone', 'image-removed'),
  ];
}

const inOneStep = (step: Step, lines: string[]): Case => ({
  step,
  fault: { kind: 'point', name: `crash at ${lines.join(', ')}`, lines },
});

/** Every moment of a pause of the disk alone, and of the boot after it, in as few of them as attempts allow. */
function diskOnlyCases(): Case[] {
  const of = (verb: string): CrashPoint[] => DISK_ONLY_POINTS.filter((point) => point.startsWith(`${verb}.`));
  const boot = of('boot');
  const rest: [Step, Fault][] = [
    ['shut-down', { kind: 'kill', role: 'control-worker', afterMs: 800 }],
    ['boot', { kind: 'kill', role: 'temporal', afterMs: 2_000 }],
    ['boot', { kind: 'kill-qemu', afterMs: 3_000 }],
  ];
  return [
    inOneStep('shut-down', of('shut-down')),
    inOneStep('boot', boot.slice(0, 4)),
    inOneStep('boot', boot.slice(4)),
    ...rest.map(([step, fault]) => ({ step, fault })),
  ];
}

/** The whole matrix, in the order of the seed; moments are drawn from it too. */
export function matrix(seed: number): Case[] {
  const random = randomFrom(seed);
  const moment = (withinMs: number): number => Math.floor(random() * withinMs);
  const fails = CRASH_POINTS.filter((point) => !/^(destroy|rollback)\./.test(point) && LEADING[point] === undefined);
  const of = (verb: string): CrashPoint[] => CRASH_POINTS.filter((point) => point.startsWith(`${verb}.`));
  const cases: Case[] = [
    ...crashCases(),
    ...fails.map((point) => pointCase(point, 'fail')),
    ...of('pause').map((point) => pointCase(point, 'crash', 'auto-pause')),
    ...AHEAD_POINTS.map((point) => pointCase(point, 'crash')),
    pointCase('ahead.sealed', 'fail'),
    ...ROTATE_POINTS.flatMap((point) => (['crash', 'fail'] as const).map((what) => pointCase(point, what))),
    ...WARM_POINTS.flatMap((point) => (['crash', 'fail'] as const).map((what) => pointCase(point, what))),
    ...(['rotate.begun', 'rotate.recorded'] as const).map((point) => pointCase(point, 'crash', 'rotate-paused')),
    ...of('destroy').flatMap((point) =>
      (['timeout-kill', 'kill-paused', 'expiry'] as const).map((step) => pointCase(point, 'crash', step)),
    ),
    ...DAMAGES.map((what): Case => ({ step: 'resume', fault: { kind: 'damage', what } })),
    ...(['create', 'resume'] as const).map((step): Case => ({ step, fault: { kind: 'no-memory' } })),
    ...(['create', 'pause', 'resume'] as const).map((step): Case => ({ step, fault: { kind: 'no-disk' } })),
    { step: 'pause', fault: { kind: 'second-host-worker' } },
    ...(['pause', 'auto-pause', 'rotate', 'kill'] as const).map((step): Case => ({
      step,
      fault: { kind: 'guest-panic' },
    })),
    ...shuffled(of('resume'), random)
      .slice(0, 6)
      .map((point) => pointCase(point, 'crash', 'wake')),
    ...diskOnlyCases(),
    ...(['create', 'pause', 'resume', 'kill'] as const).map((step): Case => ({ step, fault: { kind: 'host-beside' } })),
    ...(['create', 'pause', 'auto-pause', 'resume', 'wake', 'rotate-paused', 'kill', 'kill-paused'] as const).map(
      (step): Case => ({
        step,
        fault: { kind: 'power-loss' },
      }),
    ),
  ];
  for (const step of QUICK) {
    for (const role of ['host-worker', 'control-worker', 'api', 'temporal'] as const) {
      for (let time = 0; time < 2; time++) cases.push({ step, fault: { kind: 'kill', role, afterMs: moment(1_500) } });
    }
    for (let time = 0; time < 2; time++) cases.push({ step, fault: { kind: 'kill-qemu', afterMs: moment(1_500) } });
    cases.push({ step, fault: { kind: 'restart-libvirtd', afterMs: moment(1_000) } });
    for (const byMs of [HOUR_MS, -HOUR_MS]) cases.push({ step, fault: { kind: 'clock', byMs, afterMs: moment(500) } });
  }
  for (const role of ['host-worker', 'control-worker', 'api', 'temporal'] as const)
    cases.push({ step: 'assign', fault: { kind: 'kill', role, afterMs: moment(500) } });
  for (const step of ['create', 'pause', 'resume', 'rotate', 'kill'] as const)
    cases.push({ step, fault: { kind: 'freeze-host-worker', afterMs: moment(800) } });
  return shuffled(cases, random);
}
