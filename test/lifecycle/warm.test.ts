import fc from 'fast-check';
import { expect, test } from 'vitest';
import { applyOutcome, beginStep } from '../../workflows/apply-outcome.js';
import { nextStep } from '../../workflows/next-step.js';
import { requestKill, requestPause, requestResume, requestTimeout } from '../../workflows/requests.js';
import { currentDetails } from '../../workflows/show.js';
import { newState, type SandboxState } from '../../workflows/state.js';
import type { SandboxSpec } from '../../workflows/view.js';
import { requestAssign, requestDiscard } from '../../workflows/warm.js';

const spec: SandboxSpec = {
  ...{ id: 'i1', tenant: 't', hostId: 'h', templateId: 'base', templateKey: 'k', cpuCount: 2, memoryMiB: 512 },
  ...{ diskMiB: 4096, envdVersion: '0.5.2', metadata: {}, allowInternetAccess: true, timeoutMs: 60_000 },
  ...{ onTimeout: 'pause', autoResume: false, pausedRetentionMs: 1e9 },
};

function waiting(): SandboxState {
  const state = newState({ ...spec, tenant: '', timeoutMs: 0, onTimeout: 'kill', warm: true }, 0);
  beginStep(state, { type: 'act', verb: 'create' }, 0);
  applyOutcome(state, { type: 'act', verb: 'create' }, { ok: true, value: null }, 0);
  return state;
}

test('whatever a warm machine is asked for, and however long it stands, it waits; it is never paused', () => {
  const message = fc.constantFrom(
    (state: SandboxState) => requestPause(state),
    (state: SandboxState) => requestPause(state, { memory: false }),
    (state: SandboxState) => requestResume(state, { timeoutMs: 1 }),
    (state: SandboxState) => requestTimeout(state, { timeoutMs: 1 }, 0),
  );
  fc.assert(
    fc.property(fc.array(message), fc.nat(), (messages, now) => {
      const state = waiting();
      for (const ask of messages) expect(ask(state)).toMatchObject({ code: 'NotFound' });
      expect(state).toEqual(waiting());
      const step = nextStep(state, now);
      expect(step).toMatchObject({ type: 'wait' });
      expect(step.type === 'wait' && step.until > now).toBe(true);
    }),
  );
});

test('once taken it is a sandbox that is being created, as if it had been asked for just now', () => {
  const state = waiting();
  expect(requestAssign(state, spec, 5_000)).toBeUndefined();
  const { generation, outcomes, lastOutcome, ...rest } = state;
  expect({ generation, outcomes, lastOutcome: lastOutcome?.error }).toEqual({
    generation: 1,
    outcomes: 1,
    lastOutcome: null,
  });
  expect({ ...rest, generation: 0, outcomes: 0, lastOutcome: null }).toEqual({
    ...newState(spec, 5_000),
    takenOver: true,
  });
  expect(nextStep(state, 5_000)).toEqual({ type: 'act', verb: 'create' });
  expect(requestAssign(state, spec, 5_000)).toMatchObject({ code: 'NotWarm' });
  expect(requestDiscard(state, 'late')).toMatchObject({ code: 'NotWarm' });
});

test('what is being discarded or killed cannot be had', () => {
  for (const end of [
    (state: SandboxState) => void requestDiscard(state, 'x'),
    (state: SandboxState) => requestKill(state, 'x'),
  ]) {
    const state = waiting();
    end(state);
    expect(requestAssign(state, spec, 0)).toMatchObject({ code: 'NotWarm' });
    expect(nextStep(state, 0)).toMatchObject({ type: 'act', verb: 'destroy' });
  }
});

test('Temporal’s UI tells a machine that waits from one that was taken, and by whom', () => {
  const state = waiting();
  expect(currentDetails(state)).toMatch(/waits for \| a create/);
  requestAssign(state, spec, 5_000);
  expect(currentDetails(state)).toMatch(/taken from the warm pool \| by t, 1970-01-01T00:00:05/);
});
