import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { HostActivities, PauseVmResult } from '../../workflows/host-activities.js';
import type { ErrorCode } from '../../workflows/errors.js';
import type { SandboxView } from '../../workflows/view.js';

/** A host without machines: keeps count of what it was asked, and fails or dawdles where a test wants it to. */
export class FakeHost {
  readonly calls: string[] = [];
  readonly views = new Map<string, SandboxView>();
  /** Next calls of these verbs fail so. */
  readonly failures: Partial<Record<'createVm' | 'pauseVm' | 'resumeVm' | 'destroyVm' | 'publishView', ErrorCode[]>> =
    {};
  /** Calls of these verbs wait until the promise is there (or they are cancelled). */
  readonly holds: Partial<Record<'createVm' | 'pauseVm' | 'resumeVm', Promise<void>>> = {};
  idleForMs = Number.MAX_SAFE_INTEGER;
  highestGeneration = 0;

  constructor(readonly id: string) {}

  activities(): HostActivities {
    return {
      createVm: async ({ generation, view }) => {
        await this.#enter('createVm', generation);
        this.views.set(view.spec.id, view);
        return { bootId: 'boot' };
      },
      pauseVm: async ({ id, generation, onlyIfIdleForMs, view }): Promise<PauseVmResult> => {
        await this.#enter('pauseVm', generation);
        if (onlyIfIdleForMs !== undefined && this.idleForMs < onlyIfIdleForMs) {
          return { outcome: 'busy', idleForMs: this.idleForMs };
        }
        const image = { generation, digest: `digest-${generation}`, bytes: 1, savedAt: Date.now() };
        this.views.set(id, { ...view, image });
        return { outcome: 'paused', image };
      },
      resumeVm: async ({ generation, image, view }) => {
        await this.#enter('resumeVm', generation, String(image.generation));
        this.views.set(view.spec.id, view);
        return { bootId: 'boot' };
      },
      destroyVm: async ({ id, generation }) => {
        await this.#enter('destroyVm', generation);
        this.views.delete(id);
      },
      inspectVm: async () => ({ generation: this.highestGeneration, machine: 'absent' }),
      idleFor: async () => ({ idleForMs: this.idleForMs }),
      publishView: async ({ view }) => {
        await this.#enter('publishView', view.generation);
        this.views.set(view.spec.id, view);
      },
    };
  }

  async #enter(
    verb: 'createVm' | 'pauseVm' | 'resumeVm' | 'destroyVm' | 'publishView',
    generation: number,
    more = '',
  ): Promise<void> {
    this.calls.push(`${verb} ${generation}${more === '' ? '' : ` of ${more}`}`);
    this.highestGeneration = Math.max(this.highestGeneration, generation);
    const held = verb in this.holds ? this.holds[verb as 'createVm'] : undefined;
    if (held !== undefined) await Promise.race([held, this.#cancelled()]);
    const code = this.failures[verb]?.shift();
    if (code !== undefined) throw ApplicationFailure.nonRetryable(`${verb} failed as the test asked`, code);
  }

  async #cancelled(): Promise<void> {
    const { cancelled, heartbeat } = Context.current();
    const beat = setInterval(() => heartbeat(), 200);
    await cancelled.finally(() => clearInterval(beat));
  }
}
