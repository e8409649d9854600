import type { PauseInput, ResumeInput, ResumeResult, RotateInput, SetTimeoutInput } from '../../workflows/messages.js';
import type { SandboxChange, SandboxSpec, SandboxView } from '../../workflows/view.js';

/**
 * The api's way to the workflows. Every method throws an `Error` whose `code` is one of `workflows/errors.ts`, within
 * 5 s when Temporal cannot be reached and within 55 s in any case (`OutcomeUnknown`: the work goes on).
 *
 * Calls with the same `updateId` are one and the same update to Temporal: a repeat joins it, or gets its outcome.
 */
export interface SandboxClient {
  /** @param options.mayExist a sandbox of this id may be there already and is then the answer */
  create(spec: SandboxSpec, options: { mayExist: boolean }): Promise<SandboxView>;
  /**
   * A warm machine becomes this sandbox, of the same id. `NotWarm` and `NotFound`: it is not to be had. `Superseded`: the
   * sandbox was killed while it was created. After any other failure that is certain nothing of it is left.
   */
  assign(spec: SandboxSpec): Promise<SandboxView>;
  /** Ends a warm machine; `NotWarm` when it has become a sandbox. */
  discard(id: string, why: string): Promise<SandboxChange>;
  pause(id: string, options: UpdateOptions & PauseInput): Promise<SandboxChange>;
  resume(id: string, input: ResumeInput, options: UpdateOptions): Promise<ResumeResult>;
  kill(id: string, options: UpdateOptions): Promise<SandboxChange>;
  /** Answers when the sandbox has no tokens but those of the nonce; `OutcomeUnknown`: it is tried again, on and on. */
  rotateTokens(id: string, input: RotateInput): Promise<SandboxChange>;
  setTimeout(id: string, input: SetTimeoutInput): Promise<SandboxChange>;
  /**
   * Whether the update of this name is over: the call that uses the name now would get its old outcome. False when Temporal
   * does not tell in time.
   */
  isAnswered(id: string, updateId: string): Promise<boolean>;
  /** The workflow's own view, for when the host cannot be asked; undefined when there is no such workflow. */
  get(id: string, options?: { onlyOpen?: boolean }): Promise<SandboxView | undefined>;
}

export interface UpdateOptions {
  updateId: string;
}
