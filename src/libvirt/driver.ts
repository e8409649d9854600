import type { DiskUse } from './disk-uses.js';
import type { DomainSpec } from './domain-spec.js';

export type MachineState = 'running' | 'paused' | 'absent';

/** A save image that is not there yet. */
export interface ComingImage {
  /** Where libvirt reads it from: in a directory that is root's alone. Nothing is there before and after. */
  pipe: string;
  /** A save image, or the beginning of one, of a machine with the same CPU: for what libvirt has to know first. */
  head: Buffer;
  /** The image itself: resolves once the machine's memory is complete and all of it authentic. */
  whole: Promise<Buffer>;
}

/**
 * The seam to the hypervisor: what Dormouse asks of machines, and nothing more. Domains are transient and named;
 * every call may be repeated.
 *
 * @throws LibvirtUnreachableError when libvirt does not answer; DomainError when it says no.
 */
export interface VmDriver {
  /** Boots a machine. */
  start(spec: DomainSpec): Promise<void>;
  /**
   * Restores a save image of device state over `spec.memoryFile`, which must be there in its full size. The image's XML is
   * replaced by that of `spec`. QEMU starts at once; what is in the memory file is looked at only after `image.whole` has
   * resolved. If that rejects, the restore is ended and rejects with the same reason.
   * Contract: the machine stands paused afterwards; no virtual CPU has run.
   */
  restore(spec: DomainSpec, image: ComingImage): Promise<void>;
  /** Lets a paused machine run; a running one stays as it is. */
  run(name: string): Promise<void>;
  /** Stops the virtual CPUs of a machine that runs; one that stands stays as it is. */
  suspend(name: string): Promise<void>;
  /**
   * Sets what a live machine may take of CPU and disk while others want it.
   * @param share of what a machine is born with, at most 1
   * @param bytesPerSecond of its disk; undefined: as it is
   * @returns what this host cannot do, in words
   * @throws what kept this one machine from it; to be tried again
   */
  setShare(name: string, share: number, bytesPerSecond: number | undefined): Promise<string[]>;
  /** Saves the device state into `image` and ends the machine; its memory file stays. On failure the machine runs on. */
  save(spec: Pick<DomainSpec, 'name' | 'qmpSocket'>, image: string): Promise<void>;
  /** Waits, for a minute, for a save that libvirt goes on with although its caller has died or lost the connection. */
  awaitSave(name: string, signal: AbortSignal): Promise<void>;
  /** Presses the power button and does not wait: whether the guest obeys is its own affair. An absent one is fine. */
  shutdown(name: string): Promise<void>;
  /** Presses the reset button: the guest boots anew, in the same machine. */
  reset(name: string): Promise<void>;
  /** Ends the machine at once; an absent one is fine. */
  destroy(name: string): Promise<void>;
  state(name: string): Promise<MachineState>;
  /** CPU time that the machine has taken so far, emulation included; in seconds. */
  cpuSeconds(name: string): Promise<number>;
  /** By name, of the machines that run and are in no step at this moment. */
  diskUses(): Promise<Map<string, DiskUse>>;
  /** Names of all live domains whose name starts with `prefix`. */
  list(prefix: string): Promise<string[]>;
  /** Those of them whose virtual CPUs stand, for whatever reason: QEMU stops them, too, when a disk has no room. */
  listStanding(prefix: string): Promise<string[]>;
  close(): Promise<void>;
}
