import type { SandboxView } from '../../workflows/view.js';

/**
 * What there is on this machine that belongs to one state directory, and what Temporal says of it. Plain data, each part
 * seen from outside: libvirt, /proc, directories, nft, Temporal. Nothing comes from a process of ours.
 */
export interface Observation {
  at: number;
  workflows: WorkflowFact[];
  domains: DomainFact[];
  processes: ProcessFact[];
  sandboxes: DirectoryFact[];
  /** In tmpfs. */
  memory: MemoryFact[];
  pool: EntryFact[];
  /** What lies where sandboxes' directories are, under a name that is no sandbox's. */
  misplaced: (EntryFact & { where: 'memory' | 'sandboxes' })[];
  /** Top level of the state directory. */
  top: EntryFact[];
  /** libvirt secrets of this state directory's sandboxes. */
  secrets: { uuid: string; id: string }[];
  /** Slots of the machine that this state directory has claimed. */
  claims: { slot: number; id: string }[];
  /** Slots of this state directory whose unix user the firewall cuts off. */
  deniedSlots: number[];
  /** The nftables table of the network guard; absent where machines have none. */
  guard?: 'there' | 'missing';
}

export interface WorkflowFact {
  id: string;
  /** `unknown`: Temporal answered that there is no such workflow. */
  run: 'open' | 'ended' | 'unknown';
  /** Absent where it was not asked. */
  view?: SandboxView;
  /** Start of the step that it is in the middle of. */
  stepSince?: number;
}

export interface DomainFact {
  name: string;
  id: string;
  state: string;
}

export interface ProcessFact {
  pid: number;
  kind: 'qemu' | 'passt';
  id: string;
}

export interface EntryFact {
  name: string;
  changedAt: number;
}

export interface DirectoryFact extends EntryFact {
  id: string;
  files: string[];
  /** Absent when there is none, or when it is damaged. */
  manifest?: ManifestFact;
  /** Why the manifest that is there is not to be believed. */
  damage?: string;
  /** What each sealed image is known by (`digestOfImage`), by file name; where it was asked for. */
  digests?: Record<string, string>;
}

export interface ManifestFact {
  generation: number;
  phase: string;
  slot: number | null;
  allowInternetAccess: boolean;
  image?: { generation: number };
  /** The last sealed image, and the generations of all files that it is made of. */
  basis?: { generation: number; files: number[] };
}

export interface MemoryFact extends EntryFact {
  id: string;
  /** Names in `<id>` and, with the prefix `state/`, in `<id>.state`. */
  files: string[];
  /** `<id>.state/device` is a finished save. */
  completeSave: boolean;
}
