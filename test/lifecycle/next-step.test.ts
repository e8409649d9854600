import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyOutcome, backOffDestroy, beginStep, type StepResult } from '../../workflows/apply-outcome.js';
import { nextStep } from '../../workflows/next-step.js';
import { requestKill, requestPause, requestResume, requestRotate, requestTimeout } from '../../workflows/requests.js';
import { hasEnded, isSettled, newState, viewOf, type SandboxState } from '../../workflows/state.js';
import type { ErrorCode } from '../../workflows/errors.js';
import type { VmFacts } from '../../workflows/host-activities.js';
import type { SandboxSpec } from '../../workflows/view.js';

const spec: SandboxSpec = {
  ...{
    id: 'i1',
    tenant: 't',
    hostId: 'h',
    templateId: 'base',
    templateKey: 'k',
    cpuCount: 2,
    memoryMiB: 512,
    diskMiB: 4096,
  },
  ...{
    envdVersion: '0.5.2',
    metadata: {},
    allowInternetAccess: true,
    timeoutMs: 60_000,
    onTimeout: 'pause',
    autoResume: false,
  },
  pausedRetentionMs: 30 * 86_400_000,
};

type Event =
  | { type: 'pause'; memory?: boolean }
  | { type: 'resume'; memory?: boolean }
  | { type: 'kill' }
  | { type: 'rotate'; tokenNonce: string }
  | { type: 'timeout'; timeoutMs: number }
  | { type: 'wait'; ms: number }
  | { type: 'outcome'; ok: boolean; idleForMs: number | null; lost: boolean };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.constantFrom<Event>({ type: 'pause' }, { type: 'resume' }, { type: 'kill' }),
  fc.constantFrom<Event>({ type: 'rotate', tokenNonce: 'a' }, { type: 'rotate', tokenNonce: 'b' }),
  fc.constantFrom<Event>({ type: 'pause', memory: false }, { type: 'resume', memory: false }),
  fc.record({ type: fc.constant('timeout' as const), timeoutMs: fc.integer({ min: 0, max: 1e6 }) }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 40 * 86_400_000 }) }),
  fc.record({
    type: fc.constant('outcome' as const),
    ok: fc.boolean(),
    idleForMs: fc.option(fc.integer({ min: 0, max: 50_000 })),
    lost: fc.constant(false),
  }),
);

/** Plays events as the workflow's loop would: messages at any time, one step at a time. */
function play(events: Event[]): SandboxState {
  let state = newState(spec, 0);
  let now = 0;
  for (const item of events) {
    if (item.type === 'pause') requestPause(state, { memory: item.memory !== false });
    else if (item.type === 'resume') requestResume(state, { memory: item.memory !== false });
    else if (item.type === 'kill') requestKill(state, 'test');
    else if (item.type === 'rotate') requestRotate(state, item);
    else if (item.type === 'timeout') requestTimeout(state, { timeoutMs: item.timeoutMs }, now);
    else if (item.type === 'wait') now += item.ms;
    else {
      const step = nextStep(state, now);
      if (step.type !== 'act') continue;
      beginStep(state, step, now);
      applyOutcome(state, step, resultOf(state, step.verb, item), now);
    }
    state = JSON.parse(JSON.stringify(state)) as SandboxState;
  }
  return state;
}

function resultOf(state: SandboxState, verb: string, item: Extract<Event, { type: 'outcome' }>): StepResult {
  if (!item.ok) return { ok: false, code: 'HostFailure', message: 'test', facts: null };
  if (verb !== 'pause') return { ok: true, value: null };
  const kept = { generation: state.generation, savedAt: 0 };
  const image = state.pauseKeeps === 'disk' ? { ...kept, kind: 'disk' as const } : { ...kept, digest: 'd', bytes: 1 };
  return {
    ok: true,
    value: item.idleForMs === null ? { outcome: 'paused', image } : { outcome: 'busy', idleForMs: item.idleForMs },
  };
}

describe('the lifecycle, whatever happens', () => {
  const states = fc.array(event, { maxLength: 40 }).map(play);

  test('always ends once it was asked to be killed and the host answers', () => {
    fc.assert(
      fc.property(states, (state) => {
        requestKill(state, 'test');
        const step = nextStep(state, 1e15);
        if (step.type === 'act') {
          beginStep(state, step, 1e15);
          applyOutcome(state, step, { ok: true, value: null }, 1e15);
        }
        expect(nextStep(state, 1e15)).toEqual({ type: 'done' });
        expect(hasEnded(state)).toBe(true);
      }),
    );
  });

  test('never waits without an end, and never for a moment that has passed', () => {
    fc.assert(
      fc.property(states, fc.integer({ min: 0, max: 1e13 }), (state, now) => {
        const step = nextStep(state, now);
        if (step.type === 'wait') {
          expect(Number.isFinite(step.until)).toBe(true);
          expect(step.until).toBeGreaterThan(now);
        }
      }),
    );
  });

  test('waits only when settled, or when its callers were told that the outcome is not known', () => {
    fc.assert(
      fc.property(states, fc.integer({ min: 0, max: 1e13 }), (state, now) => {
        const told = state.lastOutcome?.error?.code === 'OutcomeUnknown';
        if (nextStep(state, now).type === 'wait') expect(isSettled(state) || told).toBe(true);
        requestResume(state, {});
        requestPause(state);
        if (!hasEnded(state) && nextStep(state, now).type === 'wait') expect(isSettled(state)).toBe(true);
      }),
    );
  });

  test('has an image exactly when it is paused, and no generation twice', () => {
    fc.assert(
      fc.property(states, (state) => {
        if (state.status === 'paused') expect(state.image).not.toBeNull();
        if (state.status === 'running') expect(state.pausedAt).toBeNull();
        if (state.image !== null) expect(state.image.generation).toBeLessThanOrEqual(state.generation);
      }),
    );
  });

  test('never resumes from a memory that was not kept, and keeps the memory unless it is told not to', () => {
    fc.assert(
      fc.property(states, fc.integer({ min: 0, max: 1e13 }), (state, now) => {
        const step = nextStep(state, now);
        if (step.type === 'act' && step.verb === 'resume' && step.from === 'memory')
          expect(state.image?.kind).not.toBe('disk');
      }),
    );
    const withMemory = fc
      .array(event, { maxLength: 40 })
      .map((events) => events.filter((item) => !('memory' in item) || item.memory !== false));
    fc.assert(
      fc.property(withMemory.map(play), fc.integer({ min: 0, max: 1e13 }), (state, now) => {
        const step = nextStep(state, now);
        expect(step).not.toMatchObject({ keep: 'disk' });
        expect(step).not.toMatchObject({ from: 'disk' });
      }),
    );
  });

  test('survives being written as JSON', () => {
    fc.assert(
      fc.property(states, (state) => {
        expect(JSON.parse(JSON.stringify(state))).toEqual(state);
        expect(JSON.parse(JSON.stringify(viewOf(state)))).toEqual(viewOf(state));
      }),
    );
  });
});

const running = (): SandboxState => play([{ type: 'outcome', ok: true, idleForMs: null, lost: false }]);
const paused = (): SandboxState =>
  play([
    { type: 'outcome', ok: true, idleForMs: null, lost: false },
    { type: 'pause' },
    { type: 'outcome', ok: true, idleForMs: null, lost: false },
  ]);

/** One step that ends so. */
function attempt(state: SandboxState, result: StepResult, now = 0): SandboxState {
  const step = nextStep(state, now);
  if (step.type !== 'act') throw new Error(`nothing to do: ${JSON.stringify(step)}`);
  beginStep(state, step, now);
  applyOutcome(state, step, result, now);
  return state;
}
const refused = (code: ErrorCode, facts: VmFacts | null = null): StepResult => ({
  ...{ ok: false, code, message: 'as the test says', facts },
});

describe('a step whose outcome nobody knows', () => {
  test('leaves the sandbox in between, tells its caller so, and is repeated', () => {
    for (const code of ['HostFailure', 'Unavailable'] as const) {
      const state = running();
      requestPause(state);
      attempt(state, refused(code));
      expect([state.status, state.lastOutcome?.error?.code]).toEqual(['pausing', 'OutcomeUnknown']);
      expect(nextStep(state, 0)).toMatchObject({ type: 'wait', until: 5_000 });
      expect(nextStep(state, 5_000)).toMatchObject({ type: 'act', verb: 'pause' });
    }
  });

  test('that the timeout began asks again whether the sandbox is idle, unless somebody wants the pause by then', () => {
    const late = 120_000;
    const automatic = (): SandboxState => attempt(running(), refused('HostFailure'), late);
    expect(nextStep(automatic(), late + 5_000)).toMatchObject({ verb: 'pause', onlyIfIdle: true });
    const busy: StepResult = { ok: true, value: { outcome: 'busy', idleForMs: 5 } };
    expect(attempt(automatic(), busy, late + 5_000)).toMatchObject({ status: 'running', desired: 'running' });
    const connected = automatic();
    requestResume(connected, {});
    expect(attempt(connected, busy, late + 5_000)).toMatchObject({ status: 'running', desired: 'running' });
    const asked = automatic();
    requestPause(asked);
    expect(nextStep(asked, late)).toMatchObject({ verb: 'pause', onlyIfIdle: false });
  });

  test('is repeated at once when someone asks again, and a kill ends it', () => {
    const state = paused();
    requestResume(state, {});
    attempt(state, refused('HostFailure'));
    expect([state.status, nextStep(state, 0).type]).toEqual(['resuming', 'wait']);
    requestResume(state, {});
    expect(nextStep(state, 0)).toMatchObject({ type: 'act', verb: 'resume' });
    requestKill(state, 'test');
    expect(nextStep(state, 0)).toMatchObject({ type: 'act', verb: 'destroy' });
  });

  test('a pause that was rolled back is no such step: the guest runs on, and its caller gets the error', () => {
    const state = running();
    requestPause(state);
    attempt(state, refused('PauseFailed', { generation: 2, machine: 'running' }));
    expect([state.status, state.desired, state.lastOutcome?.error?.code]).toEqual([
      'running',
      'running',
      'PauseFailed',
    ]);
  });
});

describe('a destroy that fails for good', () => {
  const failing = (facts: VmFacts | null = null): SandboxState => {
    const state = running();
    requestKill(state, 'test');
    attempt(state, refused('StaleGeneration', facts));
    backOffDestroy(state, facts, 0);
    return state;
  };

  test('is repeated after a while, and twice as long a while each time, at most a minute', () => {
    const state = failing();
    expect(state.status).toBe('killing');
    let now = 0;
    for (const waits of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      expect(nextStep(state, now)).toMatchObject({ type: 'wait', until: now + waits });
      now += waits;
      attempt(state, refused('Lost'), now);
      backOffDestroy(state, null, now);
    }
  });

  test('comes again with a higher generation than the host has seen', () => {
    const state = failing({ generation: 17, machine: 'running' });
    attempt(state, { ok: true, value: null }, 5_000);
    expect(state).toMatchObject({ generation: 18, status: 'killed' });
  });

  test('is not made to wait by a pause that failed before', () => {
    const state = attempt(running(), refused('PauseFailed'), 120_000);
    expect(state.backOffUntil).toBeGreaterThan(120_000);
    requestKill(state, 'test');
    expect(nextStep(state, 120_000)).toMatchObject({ type: 'act', verb: 'destroy' });
  });
});

describe('an image', () => {
  const image = (generation: number) => ({ generation, digest: `d${generation}`, bytes: 1, savedAt: 0 });

  test('that fails authentication marks its sandbox as damaged until a resume succeeds; it stays paused and expires', () => {
    const state = paused();
    requestResume(state, {});
    attempt(state, refused('ImageDamaged', { generation: 3, machine: 'absent' }));
    expect(state.status).toBe('paused');
    expect(viewOf(state).damaged).toBe('as the test says');
    expect(viewOf(state).reason).toMatch(/damaged/);
    expect(nextStep(state, 31 * 86_400_000)).toMatchObject({ type: 'act', verb: 'destroy' });
    requestResume(state, {});
    attempt(state, { ok: true, value: null });
    expect(viewOf(state).damaged).toBeUndefined();
  });

  test('that the host claims after a failed resume counts only if it is newer', () => {
    for (const [claimed, kept] of [
      [1, 2],
      [7, 7],
    ] as const) {
      const state = paused();
      requestResume(state, {});
      attempt(state, refused('ResumeFailed', { generation: 9, machine: 'absent', image: image(claimed) }));
      expect(state.image?.generation).toBe(kept);
    }
  });
});

describe('a rotation of tokens', () => {
  const rotate = (state: SandboxState, tokenNonce: string) => requestRotate(state, { tokenNonce });

  test('is done while it runs and while it sleeps, and raises no generation', () => {
    const running = { ...newState(spec, 0), status: 'running' as const };
    for (const state of [running, paused()]) {
      const { status, generation } = state;
      expect(rotate(state, 'n')).toBeUndefined();
      expect(nextStep(state, 1)).toEqual({ type: 'act', verb: 'rotate', tokenNonce: 'n' });
      attempt(state, { ok: true, value: null });
      expect(state).toMatchObject({ status, generation, spec: { tokenNonce: 'n' } });
      expect([state.rotateTo, nextStep(state, 1).type]).toEqual([undefined, 'wait']);
    }
  });

  test('that came while another went on is done after it', () => {
    const state = paused();
    rotate(state, 'first');
    const step = nextStep(state, 1);
    rotate(state, 'second');
    if (step.type === 'act') applyOutcome(state, step, { ok: true, value: null }, 1);
    expect([state.spec.tokenNonce, nextStep(state, 1)]).toMatchObject(['first', { tokenNonce: 'second' }]);
  });

  test('that fails for good ends nothing, is tried again later and later, and holds up nothing else', () => {
    const state = { ...newState(spec, 0), status: 'running' as const };
    rotate(state, 'n');
    const waits = [1, 2].map(() => {
      const now = state.rotateNotBefore ?? 0;
      const step = nextStep(state, now);
      if (step.type === 'act') applyOutcome(state, step, refused('Lost', { generation: 1, machine: 'absent' }), now);
      return (state.rotateNotBefore ?? 0) - now;
    });
    expect(waits[1]).toBeGreaterThan(waits[0]!);
    expect(nextStep(state, 1)).toMatchObject({ type: 'wait', until: state.rotateNotBefore });
    expect([state.status, state.spec.tokenNonce]).toEqual(['running', undefined]);
    requestPause(state);
    expect(nextStep(state, 1)).toMatchObject({ verb: 'pause' });
  });
});

describe('the clock of a paused sandbox', () => {
  test('keeps it for 30 days from the moment of pausing, and not longer', () => {
    const state = paused();
    const day = 86_400_000;
    expect(nextStep(state, 30 * day - 3_600_000)).toMatchObject({ type: 'wait', until: 30 * day });
    expect(nextStep(state, 30 * day)).toMatchObject({ type: 'act', verb: 'destroy' });
  });

  test('does not look at the timeout that it had while running', () => {
    expect(nextStep(paused(), 86_400_000).type).toBe('wait');
  });
});
