import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { HostActivities, PauseVmResult, VmFacts } from '../../workflows/host-activities.js';
import type { ErrorCode } from '../../workflows/errors.js';
import { wholeView, type SandboxChange, type SandboxView } from '../../workflows/view.js';

type Verb = Exclude<keyof HostActivities, 'inspectVm' | 'idleFor'>;

/** A host without machines: keeps count of what it was asked, and fails or dawdles where a test wants it to. */
export class FakeHost {
  readonly calls: string[] = [];
  readonly views = new Map<string, SandboxView>();
  /** Next calls of these verbs fail so. */
  readonly failures: Partial<Record<Verb, ErrorCode[]>> = {};
  /** Calls of these verbs wait until the promise is there (or they are cancelled). */
  readonly holds: Partial<Record<Verb, Promise<void>>> = {};
  /** So many next calls of these verbs fail, and may be tried again. */
  readonly retryableFailures: Partial<Record<Verb, number>> = {};
  /** What failures say is true on the host. */
  factsOfFailures: Partial<VmFacts> | undefined;
  idleForMs = Number.MAX_SAFE_INTEGER;
  highestGeneration = 0;

  constructor(readonly id: string) {}

  activities(): HostActivities {
    return {
      createVm: async ({ spec, generation, view }) => {
        await this.#enter('createVm', generation);
        this.views.set(spec.id, wholeView(spec, view));
        return { bootId: 'boot' };
      },
      assignVm: async ({ spec, generation, view }) => {
        await this.#enter('assignVm', generation);
        this.views.set(spec.id, wholeView(spec, view));
        return { bootId: 'boot' };
      },
      pauseVm: async ({ id, generation, onlyIfIdleForMs, view }): Promise<PauseVmResult> => {
        await this.#enter('pauseVm', generation);
        if (onlyIfIdleForMs !== undefined && this.idleForMs < onlyIfIdleForMs) {
          return { outcome: 'busy', idleForMs: this.idleForMs };
        }
        const image = { generation, digest: `digest-${generation}`, bytes: 1, savedAt: Date.now() };
        this.#change(id, { ...view, image });
        return { outcome: 'paused', image };
      },
      shutDownVm: async ({ id, generation, onlyIfIdleForMs, view }): Promise<PauseVmResult> => {
        await this.#enter('shutDownVm', generation);
        if (onlyIfIdleForMs !== undefined && this.idleForMs < onlyIfIdleForMs) {
          return { outcome: 'busy', idleForMs: this.idleForMs };
        }
        const image = { kind: 'disk' as const, generation, savedAt: Date.now() };
        this.#change(id, { ...view, image });
        return { outcome: 'paused', image };
      },
      bootVm: async ({ id, generation, image, view }) => {
        await this.#enter('bootVm', generation, String(image.generation));
        this.#change(id!, view);
        return { bootId: `boot-${generation}` };
      },
      resumeVm: async ({ id, generation, image, view }) => {
        await this.#enter('resumeVm', generation, String(image.generation));
        this.#change(id!, view);
        return { bootId: 'boot' };
      },
      destroyVm: async ({ id, generation }) => {
        await this.#enter('destroyVm', generation);
        this.views.delete(id);
      },
      inspectVm: async () => ({ generation: this.highestGeneration, machine: 'absent' }),
      idleFor: async () => ({ idleForMs: this.idleForMs }),
      rotateTokens: async ({ id, generation, tokenNonce }) => {
        await this.#enter('rotateTokens', generation);
        const view = this.views.get(id)!;
        this.views.set(id, { ...view, spec: { ...view.spec, tokenNonce } });
      },
      publishView: async ({ id, view }) => {
        await this.#enter('publishView', view.generation);
        this.#change(id!, view);
      },
    };
  }

  #change(id: string, change: SandboxChange): void {
    const known = this.views.get(id);
    if (known !== undefined) this.views.set(id, wholeView(known.spec, change));
  }

  async #enter(verb: Verb, generation: number, more = ''): Promise<void> {
    this.calls.push(`${verb} ${generation}${more === '' ? '' : ` of ${more}`}`);
    this.highestGeneration = Math.max(this.highestGeneration, generation);
    const held = this.holds[verb];
    if (held !== undefined) await Promise.race([held, this.#cancelled()]);
    const code = this.failures[verb]?.shift();
    const details = this.factsOfFailures === undefined ? [] : [this.factsOfFailures];
    if (code !== undefined) throw ApplicationFailure.nonRetryable(`${verb} failed as the test asked`, code, ...details);
    const retries = this.retryableFailures[verb] ?? 0;
    this.retryableFailures[verb] = retries - 1;
    if (retries > 0) throw ApplicationFailure.retryable(`${verb} failed for now`, 'HostFailure');
  }

  async #cancelled(): Promise<void> {
    const { cancelled, heartbeat } = Context.current();
    const beat = setInterval(() => heartbeat(), 200);
    await cancelled.finally(() => clearInterval(beat));
  }
}
