import { ApplicationFailure, log, patched, setDefaultSignalHandler, setHandler } from '@temporalio/workflow';
import * as answers from './answers.js';
import * as messages from './messages.js';
import { requestKill, requestPause, requestResume, requestTimeout, wrongTimeout } from './requests.js';
import { viewOf, type SandboxState } from './state.js';

/**
 * Sets every handler; called before the workflow's first await.
 * Signals are the contract for scripts: whatever they carry, they never fail; what cannot be understood is logged.
 *
 * @param isOverdue requests that others wait for keep this run from ending, so that it must take no more of them
 */
export function handleMessages(state: SandboxState, isOverdue: () => boolean): void {
  /** What is refused here leaves no event in the history. */
  const requireRoom = (): void => {
    if (!isOverdue()) return;
    const message = `the workflow of sandbox ${state.spec.id} is about to continue as new; nothing was done, try again`;
    throw ApplicationFailure.create({ type: 'Unavailable', message, details: [messages.FULL_RUN] });
  };
  setHandler(messages.getQuery, () => viewOf(state), { description: 'the whole view, times in epoch milliseconds' });

  setHandler(messages.readyUpdate, () => answers.ready(state), { description: 'answers when created' });
  setHandler(messages.pauseUpdate, (input?: messages.PauseInput) => answers.pause(state, input ?? {}), {
    description: 'saves the machine, or with {"memory": false} shuts it down; answers when paused',
    validator: (_input?: messages.PauseInput) => requireRoom(),
  });
  setHandler(messages.resumeUpdate, (input?: messages.ResumeInput) => answers.resume(state, input ?? {}), {
    description: 'wakes the machine; answers when running',
    validator: (input?: messages.ResumeInput) => {
      if (input?.timeoutMs !== undefined) requireTimeout(input.timeoutMs);
      requireRoom();
    },
  });
  setHandler(messages.killUpdate, () => answers.kill(state), { description: 'removes everything; answers when gone' });
  setHandler(messages.setTimeoutUpdate, (input) => answers.setTimeoutOf(state, input), {
    description: 'moves the deadline, counted from now; 0 kills or pauses at once',
    validator: (input) => {
      requireTimeout(input?.timeoutMs, true);
      requireRoom();
    },
  });
  setHandler(messages.rotateTokensUpdate, (input) => answers.rotateTokens(state, input), {
    description: 'from the api: new access and traffic tokens; answers when no old one opens anything',
    validator: (input) => {
      if (typeof input?.tokenNonce !== 'string' || !/^[0-9a-f]{32}$/.test(input.tokenNonce))
        throw new Error('rotateTokens needs {"tokenNonce": 32 hex digits}');
    },
  });
  setHandler(messages.assignUpdate, (input) => answers.assign(state, input), {
    description: 'from the api: a create takes this warm machine',
    validator: (input) => {
      if (typeof input?.spec !== 'object') throw new Error('assign needs {"spec": ...}');
    },
  });
  setHandler(messages.discardUpdate, (input?: messages.DiscardInput) => answers.discard(state, input?.why ?? 'asked'), {
    description: 'from the host: the warm pool gives this machine up; answers when gone',
  });

  const tolerant =
    (name: string, take: (payload: Record<string, unknown>) => { message: string } | undefined) =>
    (payload?: unknown) => {
      try {
        const refusal = take(
          typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {},
        );
        if (refusal !== undefined) log.warn(`signal ${name} was ignored: ${refusal.message}`);
      } catch (error) {
        log.warn(`signal ${name} was ignored`, { error: String(error) });
      }
    };
  setHandler(
    messages.pauseSignal,
    tolerant('pause', ({ memory }) => requestPause(state, { memory: memory !== false })),
    { description: 'pause; optional {"memory": false} keeps the disk alone' },
  );
  setHandler(
    messages.resumeSignal,
    tolerant('resume', ({ timeoutMs, memory }) => {
      const wrong = timeoutMs === undefined ? undefined : wrongTimeout(timeoutMs);
      if (wrong !== undefined) return { message: wrong };
      const input = { memory: memory !== false };
      return requestResume(state, timeoutMs === undefined ? input : { ...input, timeoutMs: timeoutMs as number });
    }),
    { description: 'resume; optional {"timeoutMs": n}; {"memory": false} boots from the disk' },
  );
  setHandler(
    messages.killSignal,
    tolerant('kill', () => void requestKill(state, 'killed by a signal')),
    { description: 'kill' },
  );
  setHandler(
    messages.setTimeoutSignal,
    tolerant('setTimeout', ({ timeoutMs }) => {
      // Earlier versions ignored a 0.
      const wrong = wrongTimeout(timeoutMs, timeoutMs === 0 && patched('2026-11-timeout-of-zero'));
      if (wrong !== undefined) return { message: wrong };
      return requestTimeout(state, { timeoutMs: timeoutMs as number }, Date.now());
    }),
    { description: '{"timeoutMs": n}, counted from now; 0 kills or pauses at once' },
  );
  setHandler(
    messages.machineEndedSignal,
    tolerant('machineEnded', ({ generation, reason }) => {
      if (generation !== state.generation || state.status !== 'running')
        return { message: 'it is about another generation' };
      requestKill(state, `its machine ended by itself: ${String(reason)}`);
      state.endsAs = 'failed';
      return undefined;
    }),
    { description: 'from the host: the machine is gone' },
  );
  setDefaultSignalHandler((name) =>
    log.warn(`unknown signal ${name} was ignored; known are pause, resume, kill, setTimeout`),
  );
}

function requireTimeout(value: unknown, zeroIsFine = false): void {
  const wrong = wrongTimeout(value, zeroIsFine);
  if (wrong !== undefined) throw new Error(wrong);
}
