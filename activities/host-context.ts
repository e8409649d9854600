import type { MasterKey } from '../src/keys/master-key.js';
import type { VmDriver } from '../src/libvirt/driver.js';
import type { LogEntry } from '../src/gateway/wire.js';
import type { Logger } from '../src/log.js';
import type { Reserve } from '../src/host/admission.js';
import type { DiscardedMemory } from '../src/host/discarded-memory.js';
import type { MemoryPool } from '../src/host/memory-pool.js';
import type { OverlayPool } from '../src/host/overlay-pool.js';
import type { SandboxIndex } from '../src/host/sandbox-index.js';
import type { SandboxLocks } from '../src/host/sandbox-locks.js';
import type { SlotClaims } from '../src/host/slot-claims.js';
import type { Traffic } from '../src/host/traffic.js';
import type { Reached } from './crash-points.js';
import type { Template } from '../src/template/template.js';

/** Everything a host's verbs work with; made once, in the host worker's main. */
export interface HostContext {
  libvirtUri: string;
  /** First unix user id of sandboxes, and QEMU's group. */
  uidBase: number;
  gid: number;
  reserved: Reserve;
  /** Of one machine's disk, bytes per second; absent: no limit. */
  diskRate?: number | undefined;
  driver: VmDriver;
  index: SandboxIndex;
  locks: SandboxLocks;
  slots: SlotClaims;
  pool: OverlayPool;
  memories: MemoryPool<Template>;
  discarded: Pick<DiscardedMemory, 'discard' | 'settled' | 'heldMiB'>;
  masterKey: MasterKey;
  traffic: Traffic;
  guard: Guard;
  journal: EventJournal;
  life: SignsOfLife;
  /** Where libvirt writes the logs of machines; absent: where it does by default. */
  machineLogs?: string;
  /** What becomes of a sandbox whose guest has crashed. */
  onCrash: 'end' | 'reboot';
  /** Gives up one warm machine for what needs its room. @returns false when there is none to give up. */
  makeRoom(): Promise<boolean>;
  /** @returns undefined when this host does not have the template. */
  template(key: string): Promise<Template | undefined>;
  /** Named moments, see `crash-points.ts`. */
  reached: Reached;
  log: Logger;
}

/** What the sandbox's owner can read of its life. */
export interface EventJournal {
  addEvent(id: string, generation: number, event: string, change?: Partial<LogEntry>): void;
  addEntries(id: string, entries: readonly LogEntry[]): void;
  forget(id: string): void;
}

/** What is known of the guests that run. */
export interface SignsOfLife {
  /** So long a pause waits for the agent of what it is to save. */
  answersWithinMs: number;
  /** An agent has answered. */
  heard(id: string): void;
  /** Its machine has been made to boot: its silence begins anew. */
  boots(id: string): void;
  /** @returns why a guest must have crashed though its machine is there; undefined while it may live. */
  crashed(id: string): string | undefined;
  /** @returns what was heard of the end of a sandbox's machine, if anything. */
  howItEnded(id: string): string | undefined;
}

/** The network guard as the lifecycle sees it. */
export interface Guard {
  /**
   * Cuts a unix user off from everything, or lets it reach the internet. Repeating is fine.
   * @throws Error when the rules are not in place: no guest may run then.
   */
  setInternet(uid: number, allowed: boolean): Promise<void>;
  /** Nothing is left of a user that was cut off; also when the rules are not in place. */
  forget(uid: number): Promise<void>;
}
