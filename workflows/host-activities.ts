import type { MemoryImage, SandboxChange, SandboxSpec, SavedImage } from './view.js';

/**
 * What the workflow asks of a host, on the task queues `sandbox-<kind>-<hostId>` (`step-queues.ts`). Implemented in `activities/`.
 *
 * Every call carries `generation`, which the workflow raises before each call that changes the machine. The host
 * refuses a lower one than it has seen (`StaleGeneration`); the same one again means "a second attempt of the same
 * step": it finds the work done, or finishes it. Errors are `ApplicationFailure`s with a code of `errors.ts`.
 */
export interface HostActivities {
  /** Restores the template as a new machine and waits until its agent is initialised. Reserves capacity first. */
  createVm(input: CreateVmInput): Promise<VmRunning>;
  /** Makes a warm machine that runs the sandbox that `spec` asks for. On failure it must not be used for anything. */
  assignVm(input: CreateVmInput): Promise<VmRunning>;
  /**
   * Saves the machine and answers when the image is durable and the machine gone. On failure the machine runs again.
   * With `onlyIfIdleForMs`: closes the gate, rechecks, and answers `busy` without touching the machine if there was
   * activity within that window.
   */
  pauseVm(input: PauseVmInput): Promise<PauseVmResult>;
  /**
   * The pause that keeps the disk alone: shuts the guest down, by force if it takes too long, and answers when its
   * machine is gone. Once the guest has been told there is no way back; a second run finishes it.
   */
  shutDownVm(input: PauseVmInput): Promise<PauseVmResult>;
  /** Restores `image`. Until the machine runs, failure changes nothing: the image stays good. */
  resumeVm(input: ResumeVmInput): Promise<VmRunning>;
  /**
   * Boots the sandbox's disk and waits until its agent is initialised. A memory that was kept is given up when the
   * machine starts. On failure the sandbox stays paused, with its disk.
   */
  bootVm(input: BootVmInput): Promise<VmRunning>;
  /** Removes machine, wrapped key, secret and files, in this order. Aborts whatever holds the sandbox's lock. */
  destroyVm(input: DestroyVmInput): Promise<void>;
  /** Facts from the machine and the manifest. Changes nothing. */
  inspectVm(input: { id: string }): Promise<VmFacts>;
  /** How long no byte of traffic has passed the gateway, in ms of a monotonic clock. */
  idleFor(input: { id: string }): Promise<{ idleForMs: number }>;
  /** Tells the agent of a running sandbox, and the host's index, of new tokens. Raises no generation: no machine changes. */
  rotateTokens(input: RotateTokensInput): Promise<void>;
  /** Writes the view into the host's index, from which the api serves get and list. Lower `generation` is ignored. */
  publishView(input: PublishViewInput): Promise<void>;
}

export interface CreateVmInput {
  spec: SandboxSpec;
  generation: number;
  /** The view to publish once the machine runs; `publishView` and this are the only writers of the index. */
  view: SandboxChange;
}

export interface PauseVmInput {
  id: string;
  /** Absent: a workflow of an earlier version asked for this step, and `view.spec` is whole. */
  tenant?: string;
  generation: number;
  onlyIfIdleForMs?: number;
  view: SandboxChange;
}

export type PauseVmResult = { outcome: 'paused'; image: SavedImage } | { outcome: 'busy'; idleForMs: number };

export interface WakeVmInput {
  id?: string;
  tenant?: string;
  /** Instead of `id` and `tenant`, where a workflow of an earlier version asked for this step. */
  spec?: SandboxSpec;
  generation: number;
  view: SandboxChange;
}

export interface ResumeVmInput extends WakeVmInput {
  image: MemoryImage;
}

export interface BootVmInput extends WakeVmInput {
  image: SavedImage;
}

export interface PublishViewInput {
  id?: string;
  /** Both absent: a workflow of an earlier version asked for this step, and `view.spec` is whole. */
  tenant?: string;
  view: SandboxChange;
}

export interface RotateTokensInput {
  id: string;
  tenant: string;
  generation: number;
  tokenNonce: string;
}

export interface DestroyVmInput {
  id: string;
  generation: number;
}

export interface VmRunning {
  /** Id of this boot of the guest; the same before a pause and after the resume. */
  bootId: string;
}

export interface VmFacts {
  /** Highest generation that the host has seen; 0 when it knows nothing of this sandbox. */
  generation: number;
  machine: 'running' | 'stopped' | 'absent';
  image?: SavedImage;
  /** Set when neither the machine nor an image can be used any more. */
  lost?: string;
}
